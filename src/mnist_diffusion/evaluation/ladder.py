"""Which metric sees which corruption of real digits."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

LOWER_IS_BETTER = {
    "relative_fd": True,
    "kid": True,
    "second_relative_fd": True,
    "precision": False,
    "recall": False,
    "density": False,
    "coverage": False,
    "accuracy": False,
}
"""The metrics put to the test, and which way is good."""
METRICS = tuple(LOWER_IS_BETTER)
LOOKS = ("blur", "noise", "erosion")
LOSSES = ("dropped-class", "duplicates")
DISTANCES = (*LOOKS, *LOSSES)
MUST_SEE = {
    "relative_fd": DISTANCES,
    "kid": DISTANCES,
    "second_relative_fd": DISTANCES,
    "precision": LOOKS,
    "density": LOOKS,
    "recall": LOSSES,
    "coverage": DISTANCES,
    "accuracy": ("wrong-labels",),
}
"""What each metric is there for: laws that differ (distances), looks (precision, density), what is
missing (recall, coverage), the digits that were asked for (accuracy)."""

Floor = Mapping[str, float]
"""mean, low and high of a metric over real sets"""


def spread(values: Sequence[float]) -> dict[str, float]:
    """The floor that values of a metric make."""
    return {"mean": sum(values) / len(values), "low": min(values), "high": max(values)}


def worse_by(metric: str, value: float, floor: Floor) -> float:
    """How far a value lies on the bad side of the floor's mean, in widths of the floor's range.

    Over 1 it is beyond anything real sets scored. A range of no width counts as the least that
    float64 tells apart.
    """
    sign = 1 if LOWER_IS_BETTER[metric] else -1
    width = max(floor["high"] - floor["low"], 1e-12)
    return sign * (value - floor["mean"]) / width


def verdict(corruption: str, metric: str, worse: Sequence[float]) -> dict[str, Any]:
    """Whether a metric sees a corruption, whose values, by rising severity, are `worse` by that.

    It sees what takes it out of the real range, further and further: no step back by more than the
    range, nor by more than a tenth of the way. Blind: it does not see what it must. Flattered: it
    takes some severity for better than anything real.
    """
    allowed = max(1.0, 0.1 * max(worse))
    sees = worse[-1] > 1 and all(later > earlier - allowed for earlier, later in pairwise(worse))
    must = corruption in MUST_SEE[metric]
    return {
        "corruption": corruption,
        "metric": metric,
        "sees": sees,
        "must": must,
        "blind": must and not sees,
        "flattered": min(worse) < -1,
    }
