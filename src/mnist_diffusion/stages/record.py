"""What a stage tells about itself, for tracking."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class HistoryPoint:
    """One value of a metric along training."""

    metric: str
    value: float
    step: int


@dataclass(frozen=True)
class Record:
    """Flat parameters and metrics, tags (digests), histories and small files worth keeping."""

    params: Mapping[str, Scalar] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    history: Sequence[HistoryPoint] = ()
    artifacts: Sequence[Path] = ()
    images: int | None = None
    """How many images the stage worked through, for its rate."""
