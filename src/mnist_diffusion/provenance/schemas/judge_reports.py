"""What judges: both networks, the real digits as they see them, and the metrics put to the test."""

from __future__ import annotations

from mnist_diffusion.provenance.schemas.artifact import (
    Confusion,
    Digest,
    PerDigit,
    Sourced,
    Spread,
    Strict,
)


class ReliabilityBin(Strict):
    """Digits that the classifier was about equally sure of."""

    confidence: float
    accuracy: float
    count: int


class ClassifierReport(Strict):
    """reports/classifier.json: how often it reads a real test digit, and whether it knows."""

    n: int
    accuracy: float
    accuracy_per_class: PerDigit
    confusion: Confusion
    expected_calibration_error: float
    reliability: list[ReliabilityBin]
    classifier_sha256: Digest


class AutoencoderReport(Strict):
    """reports/autoencoder.json: how well the autoencoder restores real test digits."""

    n: int
    features: int
    reconstruction_error: float
    """Mean squared, of pixels in [-1, 1]."""
    variance: float
    """The same of the mean image: what no network at all would reach."""
    autoencoder_sha256: Digest


class RealBaseline(Strict, extra="allow"):
    """What random sets of n real test digits score against the training digits: no bound.

    Test digits are other writers' and the classifier was trained on the training digits, so a model
    that repeats training digits could score below it. By metric; `<name>_asked` is of as many of
    each digit, for sets that were asked for them. Null where too few are of some digit.
    """

    __pydantic_extra__: dict[str, Spread | None]
    fd_per_class: dict[str, Spread | None]
    """Relative FD∞ by digit."""


class TrainingStatistics(Strict):
    """The training digits under one network."""

    n: int
    features: int
    trace: float
    """Total variance of the features: the unit of the relative distance."""
    reference_sha256: Digest


class AutoencoderStatistics(TrainingStatistics):
    """The training digits under the autoencoder."""

    autoencoder_sha256: Digest


class RealNearness(Strict):
    """How near the real test digits come to training digits."""

    median_distance: float
    """To the nearest: L2 of pixels in [0, 1]."""
    nearer: int
    """Test digits that are nearer to a training digit than to any held out, in pixels."""
    nearer_in_features: int
    """The same by the classifier."""


class ReferenceReport(TrainingStatistics):
    """reports/reference.json: statistics of the training digits, and what test digits score."""

    n_per_class: dict[str, int]
    n_test: int
    classifier_sha256: Digest
    second: AutoencoderStatistics
    within: dict[str, float]
    """By kernel distance: the mean kernel of two training digits."""
    memorisation: RealNearness
    pixels: dict[str, float]
    """Ink of the real test digits."""
    floors: dict[str, RealBaseline]
    """By n, written out: "2000"."""


class BaselineAtN(Spread):
    """What random sets of n real test digits score under one metric."""

    n: int
    metric: str


class CorruptionLevel(Strict):
    """Real digits, corrupted to some degree, under one metric."""

    corruption: str
    severity: float
    metric: str
    value: float
    relative_to_floor: float
    """How many widths of the baseline's spread above its mean; above 0 is worse, in any metric."""


class Detection(Strict):
    """Whether a metric detects a corruption."""

    corruption: str
    metric: str
    sees: bool
    must: bool
    """It is what this metric is for."""
    blind: bool
    """It must, and does not."""
    flattered: bool
    """At some severity it takes corrupted digits for better than real ones."""


class CalibrationReport(Sourced):
    """reports/calibration.json: what each metric detects."""

    count: int
    repeats: int
    floor: dict[str, Spread]
    """The baseline at `count` images, by metric."""
    against_n: list[BaselineAtN]
    corruptions: list[CorruptionLevel]
    verdicts: list[Detection]
