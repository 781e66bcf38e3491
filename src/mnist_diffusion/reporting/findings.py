"""What the numbers say, in a few sentences that are computed and never written by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mnist_diffusion.reporting import baseline
from mnist_diffusion.reporting.ranking import (
    by_condition,
    by_drawing,
    by_run,
    drawing,
    farthest,
    nearest,
    surest,
)
from mnist_diffusion.reporting.results import CellResult, Results
from mnist_diffusion.reporting.words import COMPARISONS, LOSSES, SAMPLERS, percent


@dataclass(frozen=True)
class Finding:
    """One comparison in a sentence; `section` is the anchor of its evidence."""

    text: str
    section: str


def findings(results: Results) -> list[Finding]:
    """The outcome of each comparison that has something to compare."""
    return [
        *_schedules(results.chosen("schedules")),
        *_extents("ablations", by_drawing(results.chosen("ablations"))),
        *_whole("samplers", _cheapest, results.chosen("samplers")),
        *_whole("guidance", _guidance, results.chosen("guidance")),
        *_extents("choices", by_run(results.chosen("choices"))),
    ]


def _schedules(cells: Sequence[CellResult]) -> list[Finding]:
    groups = {name: own for name, own in by_condition(cells).items() if len(own) > 1}
    return [
        Finding(f"{group[0].upper()}{group[1:]}: {_order(own)}.", "schedules")
        for group, own in groups.items()
    ]


def _whole(
    table: str, outcome: Callable[[Sequence[CellResult]], str], cells: Sequence[CellResult]
) -> list[Finding]:
    """A comparison that is one sentence, if there is a second cell to compare with."""
    if len(cells) == 1:
        return []
    return [Finding(f"{table.capitalize()}: {outcome(cells)}.", table)]


def _extents(table: str, groups: Mapping[str, Sequence[CellResult]]) -> list[Finding]:
    """How far single choices lead apart: a sentence per group of what may be compared."""
    return [
        Finding(f"{COMPARISONS[table]}, {drawing(cells[0])}: {_extent(cells)}.", table)
        for cells in groups.values()
        if len(cells) > 1
    ]


def _extent(cells: Sequence[CellResult]) -> str:
    """The lowest and the highest, and where the first declared stands between them."""
    lowest, highest, usual = nearest(cells), farthest(cells), cells[0]
    text = f"relative FD from {_scored(lowest)} to {_scored(highest)}"
    return (
        text
        if usual.name in (lowest.name, highest.name)
        else f"{text}, {usual.name} at {_fd(usual)}"
    )


def _scored(cell: CellResult) -> str:
    return f"{_fd(cell)} ({cell.name})"


def _fd(cell: CellResult) -> str:
    return percent(cell.metrics.relative_fd)


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
        said.append(f"{percent(min(fds))} to {percent(max(fds))} over {len(cells)} seeds")
    return f"{percent(_mean_fd(cells))} ({', '.join(said)})"


def _mean_fd(cells: Sequence[CellResult]) -> float:
    return sum(cell.metrics.relative_fd for cell in cells) / len(cells)


def _cheapest(cells: Sequence[CellResult]) -> str:
    """The best cell, and the cheapest that comes within a tenth of it."""
    best = nearest(cells)
    close = [c for c in cells if c.metrics.relative_fd <= 1.1 * best.metrics.relative_fd]
    cheap = min(close, key=lambda cell: cell.manifest.network_evaluations)
    text = f"{_way(best)} have the lowest relative FD, {_fd(best)}"
    if cheap is best:
        return f"{text}, and nothing cheaper comes within a tenth of it"
    return f"{text}; {_way(cheap)} are within a tenth of it, {_fd(cheap)}"


def _way(cell: CellResult) -> str:
    evaluations = cell.manifest.network_evaluations
    return f"{evaluations} network evaluations of {SAMPLERS[cell.settings.sampler]}"


def _guidance(cells: Sequence[CellResult]) -> str:
    text = f"relative FD is lowest at s = {nearest(cells).settings.guidance:g}"
    other = min(cells, key=lambda cell: cell.metrics.second_relative_fd)
    if other is not nearest(cells):
        text += f" (by the second network at s = {other.settings.guidance:g})"
    asked = [cell for cell in cells if cell.asks_for_digits]
    if not asked:
        return text
    return f"{text}, accuracy highest at s = {surest(asked).settings.guidance:g}"
