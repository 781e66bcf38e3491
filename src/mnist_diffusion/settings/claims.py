"""The sections `effects` and `claims`: what decides a verdict, written down before the run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mnist_diffusion.settings.section import Name, Names, NonNegative, Positive, Rate, Section
from mnist_diffusion.settings.training import Run

Key = Annotated[str, Field(pattern=f"^({'|'.join(Run.model_fields)})$")]
"""A setting of a run."""
Metric = Annotated[str, Field(pattern=r"^[a-z0-9]+(_[a-z0-9]+)*$")]
"""A name of evaluation.metrics.METRICS."""
Level = Annotated[str, Field(min_length=1)]
"""A choice of a factor, as in `cosine`; of two keys, as in `v/p2`."""
Contrast = Annotated[list[Level], Field(min_length=2, max_length=2)]
Bound = Annotated[float, Field(allow_inf_nan=False)]
Expected = Annotated[
    dict[Literal["below", "above", "within", "beyond"], Bound], Field(min_length=1, max_length=1)
]
"""Where a quantity is if the claim holds; within and beyond: of ± the bound."""
Pairs = Annotated[
    list[Annotated[list[Name], Field(min_length=2, max_length=2)]], Field(min_length=1)
]


ARM = "arm"
"""The factor of an analysis that declares none: its levels are arms, by the first cell of each."""


class Effects(Section):
    """An analysis of trainings: main effects of some factors on the logarithm of a distance."""

    cells: Names
    """One of each training, drawn alike."""
    factors: dict[Name, Annotated[list[Key], Field(min_length=1)]]
    """The settings of a run that make each factor; none: arms, the runs alike but for the seed."""
    contrasts: dict[Name, Annotated[list[Contrast], Field(min_length=1)]]
    """By factor, or `arm` where there are none: what is shown, [level, what it is held against]."""
    metric: Metric
    margin: Annotated[float, Field(gt=1, allow_inf_nan=False)]
    """Distances whose ratio is surely nearer to 1 than this are equivalent."""


class Measurable(Section):
    """A test that holds a quantity against a bound."""

    expect: Expected


class EffectTest(Measurable):
    """The ratio of a distance at two levels of a factor, by trainings, under both extractors."""

    kind: Literal["effect"]
    of: Name
    """An analysis of `effects`."""
    factor: Name
    level: Level
    base: Level


class DifferenceTest(Measurable):
    """A score of a cell less another's, over images: it speaks of these weights alone."""

    kind: Literal["difference"]
    metric: Metric
    pairs: Pairs
    """[cell, baseline]"""
    unit: Literal["one", "baseline"]
    """Whether the difference is a share of the baseline's score."""


class ValueTest(Measurable):
    """A score of some cells against a bound."""

    kind: Literal["value"]
    metric: Metric
    cells: Names
    unit: Literal["one", "real"]
    """Whether the bound is a multiple of what real digits score."""


class RarestTest(Measurable):
    """The share of the rarest digit in a cell, as a multiple of its share of the real digits."""

    kind: Literal["rarest"]
    cell: Name


class SolverTest(Measurable):
    """How much farther a solver ends from the exact solution than another, as a share of it."""

    kind: Literal["solver"]
    solver: Name
    baseline: Name


class OrderTest(Measurable):
    """How much later fine structure settles than coarse, as a share of the steps.

    Less the same of real digits in noise, without a model.
    """

    kind: Literal["order"]


class LossTest(Measurable):
    """The share of a run's minimised loss in a third of the timesteps."""

    kind: Literal["loss"]
    run: Name
    third: Literal[0, 1, 2]
    """From the cleanest."""


class AdherenceTest(Measurable):
    """How many of a cell's images are as their prompts ask, or how many more than of another's."""

    kind: Literal["adherence"]
    share: Literal["digit", "thickness", "slant", "everything"]
    among: Literal["all", "held_out", "seen_corners"]
    """Of which prompts: held_out ask for what no training ever saw together."""
    cell: Name
    base: Name | None
    """The cell it is held against, if it is."""


class FidelityTest(Measurable):
    """What a score of real digits becomes by way of a codec, less what it is of other digits."""

    kind: Literal["fidelity"]
    metric: Metric
    codec: Name
    base: Name
    """`real` for the digits as they are, or another codec."""


class CeilingTest(Measurable):
    """A score of cells in latent space, less what real digits score by way of the codec alone."""

    kind: Literal["ceiling"]
    metric: Metric
    codec: Name
    cells: Names


class CostTest(Measurable):
    """How many times as many operations the U-Net takes in pixels as in a codec's latents."""

    kind: Literal["cost"]
    codec: Name


class SeamTest(Measurable):
    """How much larger the step across the edge of drawn halves is, as a share of the real one."""

    kind: Literal["seam"]
    cell: Name
    base: Name
    """`real` for the digits that the halves are of, or another cell of the same halves."""


class IdentityTest(Section):
    """What is so by construction, as far as the program does what it should."""

    kind: Literal["identity"]
    of: Literal[
        "closed-form", "destroyed", "typical-betas", "last-step", "passes", "ends", "twice",
        "latent-values",
    ]  # fmt: skip


class Untestable(Section):
    """What nothing at this scale can tell."""

    kind: Literal["untestable"]
    why: Annotated[str, Field(min_length=1)]


Test = Annotated[
    EffectTest
    | DifferenceTest
    | ValueTest
    | RarestTest
    | SolverTest
    | OrderTest
    | LossTest
    | AdherenceTest
    | FidelityTest
    | CeilingTest
    | CostTest
    | SeamTest
    | IdentityTest
    | Untestable,
    Field(discriminator="kind"),
]


class Claim(Section):
    """How a sentence of the source is tested: it holds if all of it does."""

    family: Name
    """Claims that share their chance of a false verdict."""
    tests: Annotated[list[Test], Field(min_length=1)]


class Solver(Section):
    """A way of drawing that has no noise."""

    sampler: Literal["ddim", "dpm-solver-1", "dpm-solver-2", "dpm-solver-3", "heun"]
    steps: Positive


class Trajectories(Section):
    """How drawing goes about it: solvers against the exact solution, and what settles when."""

    run: Name
    guidance: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    seed: NonNegative
    count: Positive
    """Images for the solvers."""
    exact: Solver
    """What stands for the exact solution,"""
    check: Solver
    """and another, to tell how exact that is."""
    solvers: dict[Name, Solver]
    path: Solver
    """Along which structure is seen to settle."""
    images: Positive
    """Images for that."""
    coarse: Rate
    """Cycles an image that coarse structure has at the most,"""
    fine: Rate
    """and fine structure at the least."""
