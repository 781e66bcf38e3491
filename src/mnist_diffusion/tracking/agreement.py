"""Whether a run in MLflow says what the files say."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mnist_diffusion.tracking.record import legal_name

if TYPE_CHECKING:
    from mlflow.entities import Run

ABSENT = "nothing"


@dataclass(frozen=True)
class Said:
    """What a run says, or has to: of a metric with a history, the last value."""

    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


def said_by(run: Run) -> Said:
    """What a run says."""
    return Said(run.data.params, run.data.metrics, run.data.tags)


def contradictions(due: Said, seen: Said) -> Iterator[tuple[str, str, object, object]]:
    """Kind, name, what is due and what is seen, wherever that is another or missing.

    What MLflow has beyond it, such as its own tags and metrics that somebody added, may stay.
    """
    kinds: list[tuple[str, Mapping[str, object], Mapping[str, object]]] = [
        ("param", {legal_name(key): value for key, value in due.params.items()}, seen.params),
        ("metric", {legal_name(key): value for key, value in due.metrics.items()}, seen.metrics),
        ("tag", due.tags, seen.tags),
    ]
    for kind, here, there in kinds:
        for name, value in sorted(here.items()):
            found = there.get(name, ABSENT)
            if not _equal(value, found):
                yield kind, name, value, found


def _equal(due: object, found: object) -> bool:
    if isinstance(due, float) and not math.isfinite(due):
        return found != ABSENT  # each store has its own way with those
    return due == found
