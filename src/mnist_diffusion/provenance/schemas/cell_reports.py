"""What is judged: sample sets, pairs of them, what they teach a classifier, runs in training.

Distances, shares and accuracies are fractions. What depends on the digits asked for is null where
none were.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mnist_diffusion.provenance.schemas.artifact import (
    Confusion,
    Digest,
    Ends,
    PerDigit,
    Sourced,
    Strict,
)
from mnist_diffusion.provenance.schemas.judge_reports import RealBaseline


class SecondNetwork(Strict):
    """The Fréchet distance under the autoencoder's features."""

    autoencoder_sha256: Digest
    fd: float
    relative_fd: float
    fd_infinity: float
    fd_floor: float
    """What real test digits score on average at the same n."""
    relative_fd_floor: float


class Copies(Strict):
    """Images whose nearest real digit is a training digit, not a held-out one."""

    share: float
    expected: float
    """The share where nothing was copied."""
    p: float
    """Of so large a share or a larger one, if nothing was."""


class Memorisation(Strict):
    """Nearness to training digits: L2 of pixels in [0, 1], or of the classifier's features."""

    median_distance: float
    """To the nearest, in pixels."""
    median_distance_test: float
    """The same of real test digits."""
    pixels: Copies
    """Expected: the training digits' share of all that were parted at random."""
    features: Copies
    """Expected: what real test digits show, for the classifier knows the training digits."""


class Pixels(Strict):
    """Ink, each beside that of real test digits."""

    saturated: float
    """The share of stroke pixels that are full."""
    saturated_real: float
    stroke_gap: float
    """How far apart these two are."""
    mass: float
    """All ink per image."""
    mass_real: float
    background: float
    """The mean of the pixels that are black in nearly every training digit, of white's 1."""
    background_real: float


class Extremes(Strict):
    """Indices of the images that the classifier is most and least convinced of."""

    best: list[int]
    worst: list[int]


class CellMetrics(Sourced, extra="allow"):
    """reports/metrics/<cell>.json: the judgement of a cell.

    What is not listed here are its scores, by the names of evaluation.metrics.METRICS, where a new
    metric is added; what real digits score on average is beside some, as `<name>_floor`.
    """

    __pydantic_extra__: dict[str, float | None]

    cell: str
    run: str
    n: int
    samples_sha256: Digest
    classifier_sha256: Digest
    reference_sha256: Digest
    accuracy_per_class: PerDigit | None
    confusion: Confusion | None
    fd_per_class: PerDigit | None
    """Relative FD∞ by digit."""
    predicted_per_class: PerDigit
    """Which share of the images the classifier takes for each digit."""
    extremes: Extremes
    second: SecondNetwork
    memorisation: Memorisation
    pixels: Pixels
    floors: RealBaseline
    compared: int
    """Real digits that precision, recall, density and coverage are taken against."""
    level: float
    """How often an interval is to hold the true value."""
    errors: dict[str, float]
    """Standard errors over images, by the influences of each: stratified where digits were asked
    for."""
    intervals: dict[str, Ends | None]
    """Of each metric, had other images been drawn by the same training."""


Verdict = Literal["better", "worse", "equivalent", "unresolved"]
"""equivalent: the interval lies within the margin, be there a difference or not; else better and
worse leave out none."""


class PairedComparison(Strict):
    """A cell against its table's baseline, paired by image: what this pair of trainings differs by.

    All intervals of a table hold the truth at once as often as the report's level says.
    """

    table: str
    baseline: str
    cell: str
    metric: str
    difference: float
    """The cell's value less the baseline's."""
    error: float
    """Its standard error over images."""
    relative: float | None
    """The difference over the baseline's value; null where that is not above 0."""
    relative_error: float | None
    """Of both values' luck."""
    interval: Ends
    ratio: Ends | None
    """Of the cell's distance to the baseline's, as sure; null where that may be 0."""
    p: float
    """Of this difference by itself."""
    p_adjusted: float
    """How often the table would show one as small by luck alone."""
    verdict: Verdict
    n: int
    training_seeds: int


class LeftOut(Strict):
    """A cell of a table that no baseline may be held against."""

    table: str
    cell: str
    why: str


class ComparisonsReport(Sourced):
    """reports/comparisons.json: every comparison of the declared tables."""

    level: float
    comparisons: list[PairedComparison]
    left_out: list[LeftOut]
    classifier_sha256: Digest
    autoencoder_sha256: Digest
    reference_sha256: Digest


class TransferAccuracy(Strict):
    """Accuracy on the real test digits, of classifiers that differ in their seed."""

    accuracy: float
    """Their mean."""
    accuracies: Annotated[list[float], Field(min_length=2)]
    accuracy_per_class: PerDigit
    interval: Ends
    """Of other seeds and other test digits, these training digits given."""


class TrtrReport(Sourced):
    """reports/trtr.json: trained on real digits."""

    n_test: int
    level: float
    epochs: int
    by_n: dict[str, TransferAccuracy]
    """By the number of training digits, written out: "2000"."""


class TstrReport(Sourced, TransferAccuracy):
    """reports/tstr/<cell>.json: trained on a cell's digits."""

    cell: str
    run: str
    n: int
    n_test: int
    level: float
    epochs: int
    real_accuracy: float
    """The same recipe on as many real training digits."""
    real_interval: Ends
    samples_sha256: Digest


class CurvePoint(Strict):
    """The averaged weights after some training, judged."""

    step: int
    images: int
    """Training images seen."""
    fd: float
    relative_fd: float
    samples_sha256: Digest


class FdCurveReport(Sourced):
    """reports/fd_curve/<run>.json: FD by training images."""

    run: str
    count: int
    """Images drawn for each point."""
    sampler: str
    steps: int
    guidance: float
    points: Annotated[list[CurvePoint], Field(min_length=1)]
    digits_sha256: Digest
    """Of data/snapshots/<run>.npy, a few images of each point."""
    fd_floor: float
    relative_fd_floor: float
