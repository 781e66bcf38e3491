"""What the numbers say, in a few sentences that are computed and never written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mnist_diffusion.reporting.results import CellResult, Results


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
    """Best relative FD, best accuracy, the floor and the judge."""
    asked = [cell for cell in results.cells.values() if cell.asks_for_digits]
    floor = results.floor.relative_fd
    judge = results.classifier
    band = f"{_percent(floor.low)} to {_percent(floor.high)}, {_count(results.headline.metrics.n)}"
    shown = [
        Fact("Floor: real against real", _percent(floor.mean), f"relative FD, {band}"),
        Fact("The judge on real digits", _percent(judge.accuracy), f"accuracy, {_count(judge.n)}"),
    ]
    if not asked:
        return shown
    nearest, surest = _nearest(asked), max(asked, key=_accuracy)
    return [
        Fact(
            "Best class cell by relative FD",
            _percent(nearest.metrics.relative_fd),
            f"at {_percent(_accuracy(nearest))} accuracy, {nearest.name}",
            nearest.name,
        ),
        Fact(
            "Best class cell by accuracy",
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
    for conditioning, word in (("uncond", "Unconditional"), ("class", "Class-conditional")):
        cells = [
            cell
            for cell in results.chosen("schedules")
            if cell.run.settings.conditioning == conditioning
        ]
        if len(cells) > 1:
            found.append(Finding(f"{word}: {_order(cells)}.", "schedules"))
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
        "FD is the Fréchet distance between features of this repository's own classifier; relative "
        "FD divides it by the trace of the real features' covariance. Neither is comparable with "
        "an Inception FID.",
        "Accuracy is how often that classifier sees the digit that was asked for.",
        f"n = {', '.join(f'{n:,}' for n in counts)} images a cell. A perfect model would score "
        "the floor, not 0; differences within the floor's own spread say nothing.",
        trained,
    ]


def _order(cells: Sequence[CellResult]) -> str:
    """From near to far; training seeds of one choice are taken together."""
    groups: dict[str, list[CellResult]] = {}
    for cell in cells:
        choice = cell.run.settings.model_copy(update={"seed": 0})
        groups.setdefault(f"{choice} {cell.settings.guidance}", []).append(cell)
    ranked = sorted(groups.values(), key=_mean_fd)
    return "relative FD " + ", ".join(_group(group) for group in ranked)


def _group(cells: Sequence[CellResult]) -> str:
    text = f"{_percent(_mean_fd(cells))} ({cells[0].run.name}"
    if len(cells) == 1:
        return f"{text})"
    fds = [cell.metrics.relative_fd for cell in cells]
    return f"{text}, {_percent(min(fds))} to {_percent(max(fds))} over {len(cells)} seeds)"


def _mean_fd(cells: Sequence[CellResult]) -> float:
    return sum(cell.metrics.relative_fd for cell in cells) / len(cells)


def _cheapest(cells: Sequence[CellResult]) -> str:
    """The best cell, and the cheapest that comes within a tenth of it."""
    best = _nearest(cells)
    close = [c for c in cells if c.metrics.relative_fd <= 1.1 * best.metrics.relative_fd]
    cheap = min(close, key=lambda cell: cell.manifest.network_evaluations)
    text = f"{_way(best)} come nearest to real digits, {_percent(best.metrics.relative_fd)}"
    if cheap is best:
        return f"{text}, and nothing cheaper comes within a tenth of it"
    return f"{text}; {_way(cheap)} are within a tenth of it, {_percent(cheap.metrics.relative_fd)}"


def _way(cell: CellResult) -> str:
    evaluations = cell.manifest.network_evaluations
    return f"{evaluations} network evaluations of {cell.settings.sampler}"


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
