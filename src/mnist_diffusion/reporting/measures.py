"""What judges a sample set beyond FD and accuracy, and what judges the metrics themselves: shapes.

Distances and shares are fractions; every interval is [low, high] at 95 %.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mnist_diffusion.reporting.files import Ends, File, Interval

Judged = Literal["better", "worse", "not distinguishable"]


class Second(File):
    """FD in the eyes of the second autoencoder."""

    relative_fd: float
    relative_fd_floor: float


class Memorisation(File):
    """Distances to the nearest training digit: L2 of pixels in [0, 1]."""

    median_distance: float
    median_distance_test: float
    """The same of real test digits."""
    share_closer: float
    """Images closer to a training digit than 99 % of real test digits are."""


class Pixels(File):
    """Ink: the share of stroke pixels that are full, and the mean of all ink per image."""

    saturated: float
    saturated_real: float
    mass: float
    mass_real: float


class Likeness(File):
    """What random sets of real test digits score at the same n."""

    kid: Interval
    precision: Interval
    recall: Interval
    density: Interval
    coverage: Interval


class Extremes(File):
    """Indices of the images that the judge is most and least convinced of."""

    best: list[int]
    worst: list[int]


class CellMetrics(File):
    """reports/metrics/<cell>.json; relative FD and accuracies are fractions."""

    cell: str
    run: str
    n: int
    fd: float
    relative_fd: float
    fd_floor: float
    relative_fd_floor: float
    accuracy: float | None
    accuracy_per_class: dict[str, float | None] | None
    confusion: list[list[int]] | None
    """Rows are the digit asked for, columns the judged one."""
    confidence: float
    calibration_error: float | None
    kid: float
    precision: float
    recall: float
    density: float
    coverage: float
    fd_per_class: dict[str, float | None] | None
    """Relative FD by digit."""
    second: Second
    memorisation: Memorisation
    pixels: Pixels
    intervals: dict[str, Ends | None]
    """95 % of each metric, by bootstrap over images."""
    floors: Likeness
    extremes: Extremes | None = None
    classifier_sha256: str
    reference_sha256: str
    samples_sha256: str

    @property
    def second_relative_fd(self) -> float:
        """Relative FD in the eyes of the second autoencoder."""
        return self.second.relative_fd


class Comparison(File):
    """A cell against its table's baseline: paired, and corrected over the table (Holm)."""

    table: str
    baseline: str
    cell: str
    metric: Literal["relative_fd", "second_relative_fd", "accuracy"]
    difference: float
    """The cell's value less the baseline's."""
    interval: Ends
    p: float
    p_holm: float
    verdict: Judged
    n: int
    training_seeds: int


class Comparisons(File):
    """reports/comparisons.json"""

    level: float
    comparisons: list[Comparison]


class Tstr(File):
    """reports/tstr/<cell>.json: a classifier trained on the samples, tested on real digits."""

    cell: str
    n: int
    accuracy: float
    interval: Ends
    real_accuracy: float
    """The same recipe on as many real training digits."""


class AgainstN(File):
    """What random sets of n real test digits score under one metric."""

    n: int
    metric: str
    mean: float
    low: float
    high: float


class Rung(File):
    """Real digits, spoilt to some degree, under one metric."""

    corruption: str
    severity: float
    metric: str
    value: float
    relative_to_floor: float | None
    """How many widths of the floor above its mean; above 0 is worse, whatever the metric."""


class Sight(File):
    """Whether a metric moves where digits are spoilt in one way."""

    corruption: str
    metric: str
    sees: bool
    must: bool
    """It is what this metric is for."""
    blind: bool
    """It must, and does not."""
    flattered: bool = False
    """Somewhere on the ladder it takes spoilt digits for better than real ones."""


class Calibration(File):
    """reports/calibration.json: the metrics, tried on real digits."""

    against_n: list[AgainstN]
    ladder: list[Rung]
    verdicts: list[Sight]


class Point(File):
    """The averaged weights after some training, judged."""

    step: int
    images: int
    relative_fd: float


class FdCurve(File):
    """reports/fd_curve/<run>.json: a run judged along its training."""

    run: str
    count: int
    """Images a point."""
    steps: int
    sampler: str
    guidance: float
    points: Annotated[list[Point], Field(min_length=1)]
    relative_fd_floor: float
