"""Two cells against one another: paired where that was computed, else by their intervals."""

from __future__ import annotations

from dataclasses import dataclass

from mnist_diffusion.reporting.claims.claim import Datum, UntestableError, Verdict
from mnist_diffusion.reporting.measures import Comparison
from mnist_diffusion.reporting.results import CellResult, Results
from mnist_diffusion.reporting.words import METRICS, count, points, signed_points

SECOND = "second_relative_fd"
DISPUTED = "disputed"
OPPOSITE = {"better": "worse", "worse": "better", "not distinguishable": "not distinguishable"}
LOWER_IS_BETTER = {"relative_fd", "kid", SECOND}


@dataclass(frozen=True)
class Contrast:
    """What a cell has more of a metric than another, as fractions."""

    cell: CellResult
    baseline: CellResult
    metric: str
    difference: float
    low: float
    high: float
    verdict: str
    """Of the cell: better, worse or not distinguishable."""
    paired: bool
    n: int

    def datum(self) -> Datum:
        """The difference in points of a per cent, with its interval and how it came about."""
        how = count(self.n) if self.paired else f"unpaired, {count(self.n)}"
        spread = f"{signed_points(self.low)} to {signed_points(self.high)}"
        return Datum(
            f"{METRICS[self.metric]}, {self.cell.name} less {self.baseline.name}",
            f"{signed_points(self.difference)} points ({spread}; {how}): {self.verdict}",
            self.cell.name,
        )


@dataclass(frozen=True)
class Views:
    """Two cells' relative FD in the eyes of both networks: no verdict rests on one."""

    judge: Contrast
    second: Contrast

    @property
    def verdict(self) -> str:
        """What both say: better, worse or not distinguishable; else disputed."""
        return agreed(self.judge.verdict, self.second.verdict)

    @property
    def any_worse(self) -> bool:
        """Whether the cell is worse in the eyes of either."""
        return "worse" in (self.judge.verdict, self.second.verdict)

    def told(self) -> str:
        """The verdict in words, or both."""
        if self.verdict != DISPUTED:
            return f"{self.verdict} in the eyes of both networks"
        return by_each(self.judge.verdict, self.second.verdict)

    def data(self) -> list[Datum]:
        """Both differences."""
        return [self.judge.datum(), self.second.datum()]


def agreed(judge: str, second: str) -> str:
    """What both networks answer; else disputed."""
    return judge if judge == second else DISPUTED


def by_each(judge: str, second: str) -> str:
    """Two answers to one question."""
    return f"{judge} by the judge's features and {second} by the second network's"


def views(results: Results, cell: CellResult, baseline: CellResult) -> Views:
    """The relative FD of two cells, by the judge's features and by the second network's."""
    return Views(versus(results, cell, baseline), versus(results, cell, baseline, SECOND))


def versus(
    results: Results, cell: CellResult, baseline: CellResult, metric: str = "relative_fd"
) -> Contrast:
    """The paired comparison of two cells in either order, or else a cautious one of intervals."""
    for one in results.evidence.comparisons:
        if one.metric != metric:
            continue
        if (one.cell, one.baseline) == (cell.name, baseline.name):
            low, high = one.interval
            return _paired(cell, baseline, one, one.difference, low, high, one.verdict)
        if (one.cell, one.baseline) == (baseline.name, cell.name):
            low, high = (-end for end in reversed(one.interval))
            return _paired(cell, baseline, one, -one.difference, low, high, OPPOSITE[one.verdict])
    return _unpaired(cell, baseline, metric)


def ends(cell: CellResult, metric: str) -> tuple[float, float]:
    """A cell's interval of a metric."""
    interval = cell.metrics.intervals.get(metric)
    if interval is None:
        raise UntestableError(f"{cell.name} has no interval of {metric}")
    low, high = interval
    return low, high


def value(cell: CellResult, metric: str) -> float:
    """A cell's value of a metric."""
    found = getattr(cell.metrics, metric)
    if found is None:
        raise UntestableError(f"{cell.name} asked for no digits, so it has no {metric}")
    return float(found)


def measured(cell: CellResult, metric: str = "relative_fd", label: str = "") -> Datum:
    """A cell's value with its interval, in per cent."""
    low, high = ends(cell, metric)
    text = f"{points(value(cell, metric))} % ({points(low)} to {points(high)})"
    return Datum(label or f"{METRICS[metric]}, {cell.name}", text, cell.name)


def as_verdict(said: str) -> Verdict:
    """Of a claim that a cell is better: undecided says nothing either way."""
    verdicts = {"better": Verdict.HOLDS, "worse": Verdict.FAILS, DISPUTED: Verdict.DEPENDS}
    return verdicts.get(said, Verdict.UNTESTED)


def _paired(
    cell: CellResult,
    baseline: CellResult,
    found: Comparison,
    difference: float,
    low: float,
    high: float,
    verdict: str,
) -> Contrast:
    return Contrast(
        cell, baseline, found.metric, difference, low, high, verdict, paired=True, n=found.n
    )


def _unpaired(cell: CellResult, baseline: CellResult, metric: str) -> Contrast:
    """Extremes of both intervals: wider than a paired difference would be, so more cautious."""
    low, high = ends(cell, metric)
    base_low, base_high = ends(baseline, metric)
    difference = value(cell, metric) - value(baseline, metric)
    lowest, highest = low - base_high, high - base_low
    verdict = "not distinguishable"
    if lowest > 0 or highest < 0:
        verdict = "better" if (highest < 0) == (metric in LOWER_IS_BETTER) else "worse"
    n = min(cell.metrics.n, baseline.metrics.n)
    return Contrast(cell, baseline, metric, difference, lowest, highest, verdict, paired=False, n=n)
