"""What the numbers say, in a few sentences that are computed and never written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mnist_diffusion.reporting import baseline
from mnist_diffusion.reporting.files import Interval
from mnist_diffusion.reporting.results import CellResult, Results
from mnist_diffusion.reporting.words import LOSSES, SAMPLERS, by_condition


@dataclass(frozen=True)
class Fact:
    """One number of the front page."""

    label: str
    value: str
    note: str
    cell: str | None = None


@dataclass(frozen=True)
class Finding:
    """One comparison in a sentence; `section` is the anchor of its evidence."""

    text: str
    section: str


def facts(results: Results) -> list[Fact]:
    """Lowest relative FD, highest accuracy, what real digits score, and the judge."""
    asked = [cell for cell in results.cells.values() if cell.asks_for_digits]
    real = results.floor.relative_fd
    judge = results.classifier
    measured = f"relative FD{_spread(real)}, {_count(results.headline.metrics.n)}"
    shown = [
        Fact("Yardstick: real test digits", _percent(real.mean), measured),
        Fact("The judge on real digits", _percent(judge.accuracy), f"accuracy, {_count(judge.n)}"),
    ]
    if not asked:
        return shown
    nearest, surest = _nearest(asked), max(asked, key=_accuracy)
    return [
        Fact(
            f"Lowest relative FD of {len(asked)} class cells",
            _percent(nearest.metrics.relative_fd),
            f"at {_percent(_accuracy(nearest))} accuracy, {nearest.name}",
            nearest.name,
        ),
        Fact(
            f"Highest accuracy of {len(asked)} class cells",
            _percent(_accuracy(surest)),
            f"at {_percent(surest.metrics.relative_fd)} relative FD, {surest.name}",
            surest.name,
        ),
        *shown,
    ]


def findings(results: Results) -> list[Finding]:
    """The outcome of each comparison that has something to compare."""
    report = results.settings.report
    found: list[Finding] = []
    for group, cells in by_condition(results.chosen("schedules")).items():
        if len(cells) > 1:
            words = group[0].upper() + group[1:]
            found.append(Finding(f"{words}: {_order(cells)}.", "schedules"))
    if len(report.samplers) > 1:
        found.append(Finding(f"Samplers: {_cheapest(results.chosen('samplers'))}.", "samplers"))
    if len(report.guidance) > 1:
        found.append(Finding(f"Guidance: {_guidance(results.chosen('guidance'))}.", "guidance"))
    return found


def caveats(results: Results) -> list[str]:
    """What a reader must know before quoting a number."""
    seeds = {cell.run.settings.seed for cell in results.chosen("schedules")}
    counts = sorted({cell.metrics.n for cell in results.cells.values()})
    trained = (
        "One training seed: how much of a difference between runs is luck was not measured."
        if len(seeds) == 1
        else f"{len(seeds)} training seeds; each has its own row."
    )
    return [
        f"{trained} No intervals are computed yet, and the best is picked from many cells: do not "
        "read differences of a few tenths of a point between runs as real.",
        "FD is the Fréchet distance between features of this repository's own classifier; relative "
        "FD divides it by the trace of the real features' covariance. Neither is comparable with "
        "an Inception FID.",
        "Accuracy is how often that classifier sees the digit that was asked for. Digits are asked "
        "for equally often, while 9.0 to 11.2 % of MNIST are of each class: a small disadvantage "
        "of class cells in FD.",
        f"n = {', '.join(f'{n:,}' for n in counts)} images a cell. What real test digits score at "
        "the same n is a yardstick, not a bound: FD is measured against the training digits, "
        "which other writers wrote and the judge was trained on, so a model that repeats training "
        "digits could score below it.",
    ]


def _order(cells: Sequence[CellResult]) -> str:
    """From near to far; training seeds of one choice are taken together."""
    groups: dict[str, list[CellResult]] = {}
    for cell in cells:
        choice = cell.run.settings.model_copy(update={"seed": 0})
        way = cell.settings.model_copy(update={"run": ""})
        groups.setdefault(f"{choice} {way}", []).append(cell)
    ranked = sorted(groups.values(), key=_mean_fd)
    losses = {cell.run.settings.weighting for cell in cells}
    return "relative FD " + ", ".join(_group(group, len(losses) > 1) for group in ranked)


def _group(cells: Sequence[CellResult], name_loss: bool) -> str:
    """Cells that differ in nothing but the training seed."""
    run = cells[0].run
    said = [cells[0].name]
    if name_loss:
        said.append(LOSSES[run.settings.weighting])
    if baseline.is_baseline(run):
        said.append(baseline.brief(run))
    if len(cells) > 1:
        fds = [cell.metrics.relative_fd for cell in cells]
        said.append(f"{_percent(min(fds))} to {_percent(max(fds))} over {len(cells)} seeds")
    return f"{_percent(_mean_fd(cells))} ({', '.join(said)})"


def _mean_fd(cells: Sequence[CellResult]) -> float:
    return sum(cell.metrics.relative_fd for cell in cells) / len(cells)


def _cheapest(cells: Sequence[CellResult]) -> str:
    """The best cell, and the cheapest that comes within a tenth of it."""
    best = _nearest(cells)
    close = [c for c in cells if c.metrics.relative_fd <= 1.1 * best.metrics.relative_fd]
    cheap = min(close, key=lambda cell: cell.manifest.network_evaluations)
    text = f"{_way(best)} have the lowest relative FD, {_percent(best.metrics.relative_fd)}"
    if cheap is best:
        return f"{text}, and nothing cheaper comes within a tenth of it"
    return f"{text}; {_way(cheap)} are within a tenth of it, {_percent(cheap.metrics.relative_fd)}"


def _way(cell: CellResult) -> str:
    evaluations = cell.manifest.network_evaluations
    return f"{evaluations} network evaluations of {SAMPLERS[cell.settings.sampler]}"


def _guidance(cells: Sequence[CellResult]) -> str:
    nearest = _nearest(cells)
    text = f"relative FD is lowest at s = {nearest.settings.guidance:g}"
    asked = [cell for cell in cells if cell.asks_for_digits]
    if not asked:
        return text
    surest = max(asked, key=_accuracy)
    return f"{text}, accuracy highest at s = {surest.settings.guidance:g}"


def _nearest(cells: Sequence[CellResult]) -> CellResult:
    return min(cells, key=lambda cell: cell.metrics.relative_fd)


def _accuracy(cell: CellResult) -> float:
    return cell.metrics.accuracy or 0.0


def _percent(share: float) -> str:
    """A fraction in per cent: two digits where they matter, one near 100."""
    digits = 2 if share < 0.5 else 1
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def _count(n: int) -> str:
    return f"n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{n:,}"


def _spread(real: Interval) -> str:
    """The range over random sets; nothing where there is but one set, or none is seen."""
    low, high = _percent(real.low), _percent(real.high)
    return "" if low == high else f", {low} to {high} over random sets"
