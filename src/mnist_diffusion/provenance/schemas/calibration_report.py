"""reports/calibration.json: the metrics, tried on real digits and on corrupted real digits."""

from __future__ import annotations

from mnist_diffusion.provenance.schemas.artifact import Sourced, Spread, Strict


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
    """How many widths of the baseline's range above its mean; above 0 is worse, in any metric."""


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
    """What each metric detects."""

    count: int
    repeats: int
    floor: dict[str, Spread]
    """The baseline at `count` images, by metric."""
    against_n: list[BaselineAtN]
    ladder: list[CorruptionLevel]
    verdicts: list[Detection]
