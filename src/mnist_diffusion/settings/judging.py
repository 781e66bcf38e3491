"""The sections on evaluation: from `classifier` to `calibration`, and `tables`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mnist_diffusion.settings.section import (
    Count,
    Fraction,
    Name,
    Names,
    NonNegative,
    Positive,
    Rate,
    Section,
)


class Supervised(Section):
    """How a network is trained that knows its target."""

    epochs: Positive
    batch_size: Positive
    learning_rate: Rate
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    seed: NonNegative


class ClassifierTraining(Supervised):
    """The judge: its accuracy on real digits bounds what it can measure of samples."""

    label_smoothing: Fraction
    augmentation: Fraction
    """Largest random shift, scaling and shear, as a fraction of the image."""


class OtherJudge(Section):
    """A classifier that ranks the cells too: in what it departs from the judge's training."""

    seed: NonNegative
    augmentation: Fraction


class AutoencoderTraining(Supervised):
    """The second network: FD under its features confirms FD under the judge's, or does not."""

    mask: Annotated[int, Field(ge=0, lt=28)]
    """Side of the hidden square, in pixels."""
    noise: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """Standard deviation of the noise on pixels in [-1, 1]."""


class Reference(Section):
    """The real-vs-real baseline: what other real digits score at a given n."""

    counts: Annotated[list[Count], Field(min_length=1)]
    """Every n that a cell draws, or a snapshot along training."""
    repeats: Positive
    """Random real sets drawn per n."""
    seed: NonNegative


class Evaluate(Section):
    """How sure of a judgement we want to be."""

    level: Annotated[float, Field(gt=0.5, lt=1)]
    """How often an interval is to hold the true value."""
    seed: NonNegative
    """Of the halves by which FD is extrapolated, and of the simultaneous intervals' draws."""


class Margins(Section):
    """What of a difference of two cells is too little to matter: surely less is equivalent."""

    ratio: Annotated[float, Field(gt=1, allow_inf_nan=False)]
    """Of their distances, either way."""
    accuracy: Annotated[float, Field(gt=0, lt=1)]


class FdCurve(Section):
    """How the snapshots of every run are sampled: quickly, for there are many."""

    count: Count
    """Images of each snapshot, the same noise for all."""
    runs: Names
    sampler: Literal["ddim", "dpm-solver-2", "dpm-solver-3"]
    steps: Positive


class TableCells(Section):
    """A table of the report, and which differences within it a verdict is given on.

    A cell meets each baseline that was asked for the same digits: of these only those of its own
    guidance, and then only those of its own training seed, where there are such.
    """

    cells: Names
    baselines: list[Name]
    """Some of the cells; none where trainings differ: two of them settle nothing."""


class Tables(Section):
    """The tables of the report."""

    schedules: TableCells
    """Schedules × conditioning."""
    samplers: TableCells
    """Samplers × steps."""
    guidance: TableCells
    """In rising order."""
    ablations: TableCells
    """Training choices."""
    choices: TableCells
    """Sampling choices: spacing, bound, guidance interval and rescale."""
    spaces: TableCells
    """Pixels and latents, labels and words."""
    students: TableCells
    """A run in many steps, and its students in few."""


class Tstr(Section):
    """Train on synthetic, test on real: the judge's architecture and recipe, on samples."""

    epochs: Positive
    batch_size: Positive
    """Other than the judge's: these sets are many times smaller."""
    seeds: Annotated[int, Field(ge=2)]
    """Trainings of each set, the judge's seed and those after it: one seed tells no luck."""
    cells: Names
    """Cells that were asked for digits."""


Severities = Annotated[list[Rate], Field(min_length=2)]
Shares = Annotated[list[Annotated[float, Field(gt=0, le=1)]], Field(min_length=2)]


class Corruptions(Section):
    """Severities of each corruption of real digits, rising."""

    blur: Severities
    """Standard deviation, in pixels."""
    noise: Severities
    """Standard deviation, as a share of the range of pixels."""
    erosion: Shares
    """How far towards the image of which every stroke has lost a pixel at each side."""
    dropped_class: Annotated[
        list[Annotated[int, Field(gt=0, lt=10)]], Field(min_length=2, alias="dropped-class")
    ]
    """How many of the ten digits are missing."""
    duplicates: Annotated[list[Annotated[float, Field(gt=0, lt=1)]], Field(min_length=2)]
    """Share of the images that are copies of others."""
    wrong_labels: Annotated[Shares, Field(alias="wrong-labels")]
    """Share of the images labelled as another digit."""

    @model_validator(mode="after")
    def _check_rising(self) -> Corruptions:
        for corruption, severities in self.model_dump(by_alias=True).items():
            if severities != sorted(set(severities)):
                raise ValueError(f"{corruption}: {severities} does not rise; sort it, each once")
        return self


class Calibration(Section):
    """The metrics put to the test on real digits."""

    counts: Annotated[list[Count], Field(min_length=2)]
    """The n at which every metric is measured."""
    count: Count
    """The n of the corrupted sets."""
    repeats: Annotated[int, Field(ge=2)]
    """Random sets of real digits at each n: their range is what a metric must leave to see."""
    seed: NonNegative
    corruptions: Corruptions

    @model_validator(mode="after")
    def _check_count(self) -> Calibration:
        if self.count not in self.counts:
            raise ValueError(f"count: {self.count} is none of counts {self.counts}; use one")
        return self
