"""Precedence: what a run and a cell are, once all that they name or leave out is looked up.

Nothing else looks up a recipe, a network or what cells share; manifests hold the outcome.
"""

from __future__ import annotations

from collections.abc import Mapping

from mnist_diffusion.settings.encoders import Codec
from mnist_diffusion.settings.sampling import Cell, Choices, Sampling, SharedChoices
from mnist_diffusion.settings.section import Section
from mnist_diffusion.settings.training import Networks, Recipe, Run, Train, TrainShared

Numbers = dict[str, int | float | bool]


class ResolvedCell(Sampling, Choices):
    """One way of sampling one run, complete."""


class ResolvedNetwork(Section):
    """A network by its name and sizes, enough to build it."""

    name: str
    sizes: dict[str, int | list[int]]


class ResolvedTrain(TrainShared):
    """What all runs share, with the parameters of what this one chose."""

    weighting: Numbers
    timestep_sampling: Numbers


class ResolvedRun(Section):
    """One trained denoiser: everything that decides its weights, besides the digits."""

    run: Run
    recipe: Recipe
    network: ResolvedNetwork
    train: ResolvedTrain

    @property
    def images(self) -> int:
        """How many are seen in training, each time counted."""
        return self.recipe.steps * self.recipe.batch_size


def resolve_cell(cell: Cell, sample: SharedChoices) -> ResolvedCell:
    """A cell; what it leaves out is as in `sample`."""
    shared = sample.model_dump(include=set(Choices.model_fields))
    return ResolvedCell(**{**shared, **cell.model_dump(exclude_unset=True, exclude={"seed"})})


def network_sizes(
    networks: Networks, name: str, codec: Codec | None, vector: int = 0
) -> dict[str, int | list[int]]:
    """Those of a network in pixels, or on a codec's latents, which are small: nothing is folded.

    With a `vector` it is asked by so many numbers, and not by labels.
    """
    sizes: dict[str, int | list[int]] = getattr(networks, name).model_dump()
    if codec:
        sizes |= {"inputs": codec.latent} | ({"patch": 1} if "patch" in sizes else {})
    return sizes | ({"vector": vector} if vector else {})


def resolve_run(
    run: Run, train: Train, networks: Networks, codecs: Mapping[str, Codec], vector: int
) -> ResolvedRun:
    """A run, with the recipe, the network, the weighting and the timestep sampling that it names.

    They must be there: Settings has checked it. `vector`: what a caption becomes.
    """
    weightings = train.weightings.model_dump(by_alias=True)
    samplings = train.timestep_samplings.model_dump(by_alias=True)
    codec, asked = codecs[run.codec] if run.codec else None, run.conditioning == "text"
    sizes = network_sizes(networks, run.network, codec, vector if asked else 0)
    return ResolvedRun(
        run=run,
        recipe=train.recipes[run.recipe],
        network=ResolvedNetwork(name=run.network, sizes=sizes),
        train=ResolvedTrain(
            **train.model_dump(include=set(TrainShared.model_fields)),
            weighting=weightings[run.weighting],
            timestep_sampling=samplings[run.timestep_sampling],
        ),
    )
