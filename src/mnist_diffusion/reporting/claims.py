"""A claim, how it is judged, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from mnist_diffusion.evaluation.metrics import METRICS
from mnist_diffusion.reporting.frames import differing
from mnist_diffusion.reporting.labels import count, ends_text, points, signed_points
from mnist_diffusion.reporting.results import CellResult, Cells, Results

DISPUTED = "disputed"
OPPOSITE = {"better": "worse", "worse": "better"}


class UntestableError(Exception):
    """What a claim needs is not declared at this scale; the message says what."""


@dataclass(frozen=True)
class Datum:
    """One figure of the evidence, with its interval where it has one, and the cell it is of."""

    label: str
    value: str
    cell: str | None = None


class Verdict(StrEnum):
    """What the numbers say of a claim."""

    HOLDS = "holds"
    FAILS = "fails"
    DEPENDS = "depends"
    UNTESTED = "not testable at this scale"

    def of(self, count: int) -> str:
        """So many claims and what is said of them, as in "2 hold"."""
        several = self is not Verdict.UNTESTED and count != 1
        return f"{count} {self.removesuffix('s') if several else self}"


@dataclass(frozen=True)
class ClaimOutcome:
    """A verdict, the reason in a sentence, and the figures behind it."""

    verdict: Verdict
    reason: str
    data: list[Datum] = field(default_factory=list)


@dataclass(frozen=True)
class Claim:
    """A sentence of the source, where it stands, and the rule that judges it."""

    name: str
    """A stable word: the row's anchor."""
    text: str
    section: str
    """The heading it stands under in the source."""
    test: str
    """How it is tested, and when it holds."""
    rule: Callable[[Results], ClaimOutcome]

    def judge(self, results: Results) -> ClaimOutcome:
        """Apply the rule; what the scale does not declare makes no verdict."""
        try:
            return self.rule(results)
        except UntestableError as error:
            return ClaimOutcome(Verdict.UNTESTED, str(error))


def tally(outcomes: Iterable[ClaimOutcome]) -> dict[Verdict, int]:
    """How many claims have each verdict, in the order of the verdicts."""
    found = Counter(outcome.verdict for outcome in outcomes)
    return {verdict: found[verdict] for verdict in Verdict}


def by_share(held: int, of: int) -> Verdict:
    """All hold, none holds, or it depends."""
    if held == of:
        return Verdict.HOLDS
    return Verdict.FAILS if held == 0 else Verdict.DEPENDS


def by_conditions(
    conditions: Mapping[str, bool], data: list[Datum], note: str = ""
) -> ClaimOutcome:
    """What must be so for a claim to hold, in words: all, none, or some of it is."""
    held = [words for words, true in conditions.items() if true]
    failing = [words for words in conditions if words not in held]
    parts = [f"So: {'; '.join(held)}."] if held else []
    parts += [f"Not so: {'; '.join(failing)}."] if failing else []
    reason = " ".join([*parts, *filter(None, [note])])
    return ClaimOutcome(by_share(len(held), len(conditions)), reason, data)


def by_sampler(results: Results, sampler: str, fewest: int, most: int) -> Cells:
    """The cells of a sampler in so many steps, by rising steps."""
    wanted = [
        cell
        for cell in results.chosen("samplers")
        if cell.settings.sampler == sampler and fewest <= cell.settings.steps <= most
    ]
    if not wanted:
        raise UntestableError(f"no cell of {sampler} in {fewest:,} to {most:,} steps is declared")
    return sorted(wanted, key=lambda cell: cell.settings.steps)


def changed(
    results: Results, key: str, choice: str, others: Iterable[str]
) -> tuple[CellResult, CellResult]:
    """Two cells of the training choices whose runs differ in one setting alone: choice, other."""
    cells = results.chosen("ablations")
    for other in others:
        for cell in cells:
            for rival in cells:
                pair = [getattr(one.run.settings, key) for one in (cell, rival)]
                if pair == [choice, other] and differing(cell.run, rival.run) == [key]:
                    return cell, rival
    raise UntestableError(f"no two runs that differ in {key} alone ({choice}) are declared")


def by_guidance(results: Results) -> Cells:
    """The guidance cells by rising scale."""
    cells = sorted(results.chosen("guidance"), key=lambda cell: cell.settings.guidance)
    if len(cells) < 3:
        raise UntestableError("fewer than three guidance scales are declared")
    return cells


def at_scale(cells: Sequence[CellResult], scale: float) -> CellResult:
    """The cell of one guidance scale."""
    for cell in cells:
        if cell.settings.guidance == scale:
            return cell
    raise UntestableError(f"no cell at s = {scale:g} is declared")


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
        interval = f"{signed_points(self.low)} to {signed_points(self.high)}"
        return Datum(
            f"{METRICS[self.metric].title}, {self.cell.name} less {self.baseline.name}",
            f"{signed_points(self.difference)} points ({interval}; {how}): {self.verdict}",
            self.cell.name,
        )


@dataclass(frozen=True)
class Views:
    """Two cells' relative FD under both feature extractors: no verdict rests on one."""

    classifier: Contrast
    autoencoder: Contrast

    @property
    def verdict(self) -> str:
        """What both say: better, worse or not distinguishable; else disputed."""
        return agreed(self.classifier.verdict, self.autoencoder.verdict)

    @property
    def any_worse(self) -> bool:
        """Whether the cell is worse under either."""
        return "worse" in (self.classifier.verdict, self.autoencoder.verdict)

    @property
    def words(self) -> str:
        """The verdict, or both."""
        if self.verdict != DISPUTED:
            return f"{self.verdict} under both feature extractors"
        return by_each(self.classifier.verdict, self.autoencoder.verdict)

    def data(self) -> list[Datum]:
        """Both differences."""
        return [self.classifier.datum(), self.autoencoder.datum()]


def agreed(one: str, other: str) -> str:
    """What both feature extractors answer; else disputed."""
    return one if one == other else DISPUTED


def by_each(one: str, other: str) -> str:
    """Two answers to one question."""
    return f"{one} by the classifier's features and {other} by the autoencoder's"


def views(results: Results, cell: CellResult, baseline: CellResult) -> Views:
    """The relative FD of two cells under both feature extractors."""
    first = versus(results, cell, baseline, "relative_fd")
    return Views(first, versus(results, cell, baseline, METRICS["relative_fd"].twin or ""))


def versus(results: Results, cell: CellResult, baseline: CellResult, metric: str) -> Contrast:
    """The paired comparison of two cells in either order, or else a cautious one of intervals."""
    for one in results.compared.comparisons:
        if one.metric != metric or {one.cell, one.baseline} != {cell.name, baseline.name}:
            continue
        (low, high), difference, verdict = one.interval, one.difference, str(one.verdict)
        if one.cell != cell.name:
            low, high, difference = -high, -low, -difference
            verdict = OPPOSITE.get(verdict, verdict)
        return Contrast(
            cell, baseline, metric, difference, low, high, verdict, paired=True, n=one.n
        )
    return _unpaired(cell, baseline, metric)


def _unpaired(cell: CellResult, baseline: CellResult, metric: str) -> Contrast:
    """Extremes of both intervals: wider than a paired difference would be."""
    (low, high), (base_low, base_high) = ends(cell, metric), ends(baseline, metric)
    lowest, highest = low - base_high, high - base_low
    verdict = "not distinguishable"
    if lowest > 0 or highest < 0:
        verdict = "better" if (highest < 0) == METRICS[metric].lower_is_better else "worse"
    difference = cell.score(metric) - baseline.score(metric)
    n = min(cell.metrics.n, baseline.metrics.n)
    return Contrast(cell, baseline, metric, difference, lowest, highest, verdict, paired=False, n=n)


def ends(cell: CellResult, metric: str) -> tuple[float, float]:
    """A cell's interval of a metric."""
    interval = cell.metrics.intervals.get(metric)
    if interval is None:
        raise UntestableError(f"{cell.name} has no interval of {metric}")
    return interval


def measured(cell: CellResult, metric: str = "relative_fd", label: str = "") -> Datum:
    """A cell's value with its interval, in per cent."""
    text = f"{points(cell.score(metric))} % ({ends_text(ends(cell, metric))})"
    return Datum(label or f"{METRICS[metric].title}, {cell.name}", text, cell.name)
