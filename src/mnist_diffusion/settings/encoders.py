"""The sections on latent space and text: `codec`, `codecs`, `captions` and `clip`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mnist_diffusion.settings.section import (
    Fraction,
    Name,
    NonNegative,
    Positive,
    Rate,
    Section,
    Share,
)
from mnist_diffusion.settings.training import Recipe

Ends = Annotated[
    list[Annotated[float, Field(allow_inf_nan=False)]], Field(min_length=4, max_length=4)
]
SIDES = (4, 7)
MULTIPLE = 8
"""Of which widths must be multiples, for the groups of their norms."""


class Codec(Section):
    """One variational autoencoder: `latent` channels of `side`×`side` numbers a digit."""

    latent: Positive
    side: Positive
    shrunk: Share
    """Of the steps at which it is trained on shrunk digits, by way of shrunk latents."""

    @model_validator(mode="after")
    def _check_side(self) -> Codec:
        if self.side not in SIDES:
            raise ValueError(f"side: {self.side} is none that a codec has; set 4 or 7")
        if self.shrunk and self.side == min(SIDES):
            raise ValueError(f"shrunk: latents of side {self.side} cannot be smaller; set 0.0")
        return self


class CodecTraining(Section):
    """What all codecs share."""

    channels: Annotated[list[Positive], Field(min_length=2, max_length=2)]
    """At 14×14 and below."""
    divergence_weight: Rate
    """Of the mean KL of a latent number, in nats, beside the mean squared error of a pixel."""
    log_every: Positive
    seed: NonNegative
    recipe: Recipe

    @model_validator(mode="after")
    def _check_training(self) -> CodecTraining:
        _check_channels(self.channels)
        _check_whole(self.recipe)
        return self


class Captions(Section):
    """What captions call thin or leaning, and what nothing that learns text ever sees."""

    thickness: Ends
    """Pixels at which very thin, thin, medium and thick end."""
    slant: Ends
    """Degrees at which far left, left, upright and right end; to the right is positive."""
    width: Annotated[list[Fraction], Field(min_length=2, max_length=2)]
    """Quantiles within each digit at which narrow and usual end."""
    held_out: Annotated[
        list[Literal["thin left", "thin right", "thick left", "thick right"]],
        Field(min_length=10, max_length=10),
    ]
    """For each digit, 0 to 9."""

    @model_validator(mode="after")
    def _check_rising(self) -> Captions:
        for name in ("thickness", "slant", "width"):
            ends = getattr(self, name)
            if ends != sorted(set(ends)):
                raise ValueError(f"{name}: {ends} does not rise; sort it, each once")
        return self


class Adherence(Section):
    """Whether digits look as they were asked to."""

    cells: list[Name]
    """Cells of text runs that were asked for something; none where no run reads text."""


class Seams(Section):
    """Whether drawn halves of digits go with the real ones."""

    cells: list[Name]
    """Cells that draw halves; none where none does."""


class TextSizes(Section):
    """networks.encoders.TextEncoder"""

    width: Positive
    layers: Positive
    heads: Positive

    @model_validator(mode="after")
    def _check_heads(self) -> TextSizes:
        if self.width % self.heads:
            raise ValueError(f"heads: {self.heads} does not divide {self.width}; use one")
        return self


class ImageSizes(Section):
    """networks.encoders.ImageEncoder"""

    channels: Annotated[list[Positive], Field(min_length=3, max_length=3)]

    @model_validator(mode="after")
    def _check_shapes(self) -> ImageSizes:
        _check_channels(self.channels)
        return self


class ClipTraining(Section):
    """Text and image encoder, trained to tell which captions are true of which digits."""

    text: TextSizes
    image: ImageSizes
    vector: Positive
    """Numbers that a caption or a digit becomes."""
    word_dropout: Share
    """Share of the words that are hidden, so that an unknown word does little harm."""
    log_every: Positive
    seed: NonNegative
    recipe: Recipe

    @model_validator(mode="after")
    def _check_training(self) -> ClipTraining:
        _check_whole(self.recipe)
        return self


def _check_channels(channels: list[int]) -> None:
    if any(width % MULTIPLE for width in channels):
        raise ValueError(f"channels: not all of {channels} are multiples of {MULTIPLE}; use such")


def _check_whole(recipe: Recipe) -> None:
    """These networks look at a whole batch at once."""
    if recipe.parts != 1:
        raise ValueError(f"recipe.parts: {recipe.parts} parts are for denoisers; set 1")
