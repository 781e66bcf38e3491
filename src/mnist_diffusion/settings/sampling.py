"""The sections on sampling: `sample`, `cells`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mnist_diffusion.settings.section import Count, Name, NonNegative, Positive, Section, Share

FIXED_ETA = {"ddpm": 1.0, "ddpm-large": 1.0, "consistency": 1.0}
"""Samplers whose noise is given; all others but ddim have none."""

GuideName = Literal["label", "snapshot", "snapshot-unlabelled"]
Spacing = Literal["trailing", "leading", "linspace", "log-snr"]
Prompts = Literal["digits", "captions", "grid"]
Half = Literal["none", "left", "right", "upper", "lower"]
X0Bound = Literal["clip", "dynamic", "none"]
Interval = Annotated[
    list[Annotated[float, Field(ge=0, allow_inf_nan=False)]], Field(min_length=2, max_length=2)
]


class Choices(Section):
    """How a cell is sampled, beyond its sampler: the same for all, unless a cell overrides it."""

    count: Count
    """Images."""
    spacing: Spacing
    """Which timesteps are visited."""
    x0_bound: X0Bound
    """How the predicted x0 is held within the range of pixels."""
    dynamic_quantile: Annotated[float, Field(gt=0, le=1)]
    """Of |x0|, for the dynamic bound."""
    guide: GuideName
    """What guidance leads away from: the run's network without the label, an earlier snapshot of it
    that is asked the same, or that snapshot without the label."""
    guide_snapshot: Positive
    """Which of the run's `train.snapshots`, the first being 1, where the guide is one."""
    guidance_interval: Interval | None
    """Guide only at these levels of sigma / alpha; null guides at all."""
    prompts: Prompts
    """What text runs are asked for: each digit in turn, alone, with looks as common as in MNIST, or
    with each of its looks."""
    inpaint: Half
    """The half of real digits that is drawn anew; none draws the whole."""
    guidance_rescale: Share
    """phi: how far the contrast is brought back to the unguided."""

    @model_validator(mode="after")
    def _check_choices(self) -> Choices:
        _check_rising(self.guidance_interval)
        return self


class SharedSampling(Section):
    """What no cell changes, so that image k starts from the same noise in every cell."""

    micro_batch: Positive
    """Images per network call. Not part of the result's meaning, but of its last bits."""
    trajectory_images: Positive
    seed: NonNegative
    """Of the noise: image k starts alike in all cells of one seed. In params.yaml it is what a cell
    has beside its training's, in a manifest the sum of both."""


class SharedChoices(Choices, SharedSampling):
    """What all cells share: the first part unless they override it."""

    latent_batch: Positive
    """The micro-batch of cells in latent space, where a call of the network is short."""


class SamplerChoice(Section):
    """A sampler and its parameters."""

    sampler: Literal[
        "ddpm",
        "ddpm-large",
        "ddim",
        "dpm-solver-1",
        "dpm-solver-2",
        "dpm-solver-3",
        "heun",
        "consistency",
    ]
    steps: Positive
    eta: Share
    """Share of the ancestral noise: 1 for ddpm, 0 for solvers, either or between for ddim; 1 for
    consistency, whose noise is all fresh."""
    guidance: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
    """s in eps_guide + s·(eps - eps_guide): 0 is unconditional, 1 without a guide."""

    def asks(self, conditioning: str) -> bool:
        """Whether digits are asked for, of a run of this conditioning."""
        return conditioning != "uncond" and self.guidance != 0


class Sampling(SamplerChoice):
    """One way of sampling one run."""

    run: Name


class Cell(Sampling):
    """A cell as params.yaml has it; what it leaves out is as in `sample`."""

    count: Count | None = None
    seed: NonNegative | None = None
    spacing: Spacing | None = None
    x0_bound: X0Bound | None = None
    dynamic_quantile: Annotated[float | None, Field(gt=0, le=1)] = None
    guide: GuideName | None = None
    guide_snapshot: Positive | None = None
    guidance_interval: Interval | None = None
    prompts: Prompts | None = None
    inpaint: Half | None = None
    guidance_rescale: Share | None = None

    @model_validator(mode="after")
    def _check_choices(self) -> Cell:
        _check_rising(self.guidance_interval)
        for name in sorted(self.model_fields_set - {"guidance_interval"}):
            if getattr(self, name) is None:
                raise ValueError(f"{name}: null says nothing; leave it out, or give a value")
        return self


def _check_rising(ends: list[float] | None) -> None:
    if ends is not None and not ends[0] < ends[1]:
        raise ValueError(f"guidance_interval: {ends} is empty; put the lower end first")
