"""reports/metrics/<cell>.json: one sample set, judged.

Distances, shares and accuracies are fractions. What depends on the digits asked for is null where
none were.
"""

from __future__ import annotations

from mnist_diffusion.provenance.schemas.artifact import (
    Confusion,
    Digest,
    Ends,
    PerDigit,
    Sourced,
    Spread,
    Strict,
)


class SecondNetwork(Strict):
    """The Fréchet distance under the autoencoder's features."""

    autoencoder_sha256: Digest
    fd: float
    relative_fd: float
    fd_floor: float
    """What real test digits score on average at the same n."""
    relative_fd_floor: float


class Memorisation(Strict):
    """Distances to the nearest training digit: L2 of pixels in [0, 1]."""

    median_distance: float
    median_distance_test: float
    """The same of real test digits."""
    share_closer: float
    """Images closer to a training digit than 99 % of real test digits are."""


class Pixels(Strict):
    """Ink: the share of stroke pixels that are full, and the mean of all ink per image."""

    saturated: float
    saturated_real: float
    mass: float
    mass_real: float


class Extremes(Strict):
    """Indices of the images that the classifier is most and least convinced of."""

    best: list[int]
    worst: list[int]


class CellBaseline(Strict, extra="allow"):
    """What random sets of real test digits score at the same n, by metric."""

    __pydantic_extra__: dict[str, Spread]
    fd_per_class: dict[str, Spread | None]


class CellMetrics(Sourced, extra="allow"):
    """The judgement of a cell.

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
    """Relative FD by digit."""
    predicted_per_class: PerDigit
    """Which share of the images the classifier takes for each digit."""
    extremes: Extremes
    second: SecondNetwork
    memorisation: Memorisation
    pixels: Pixels
    floors: CellBaseline
    compared: int
    """Real digits that kid, precision, recall, density and coverage are taken against."""
    level: float
    """How often an interval is to hold the true value."""
    resamples: int
    intervals: dict[str, Ends | None]
    """Of each metric, by bootstrap over images."""
