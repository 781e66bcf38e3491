"""Which cells may be ranked against one another, and which of them come first."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mnist_diffusion.reporting.results import CellResult
from mnist_diffusion.reporting.words import SAMPLERS

Cells = list[CellResult]


def condition(cell: CellResult) -> str:
    """What a cell is told of the digit, and how strongly."""
    if cell.run.settings.conditioning == "uncond":
        return "unconditional"
    return f"class-conditional, s = {cell.settings.guidance:g}"


def drawing(cell: CellResult) -> str:
    """How a cell is drawn, but for the lesser choices: spacing, bound and the like."""
    steps = f"{cell.settings.steps} steps of {SAMPLERS[cell.settings.sampler]}"
    return f"{steps}, {condition(cell)}"


def by_condition(cells: Iterable[CellResult]) -> dict[str, Cells]:
    """Cells of different schedules: unconditional first, then by rising s."""
    return _grouped(sorted(cells, key=_condition_rank), condition)


def by_drawing(cells: Iterable[CellResult]) -> dict[str, Cells]:
    """Cells of different training, each group drawn alike; in the order declared."""
    return _grouped(cells, drawing)


def by_run(cells: Iterable[CellResult]) -> dict[str, Cells]:
    """Cells of different lesser choices, each group of one run drawn alike but for them."""
    return _grouped(cells, lambda cell: f"{cell.run.name}, {drawing(cell)}")


def nearest(cells: Iterable[CellResult]) -> CellResult:
    """The lowest relative FD."""
    return min(cells, key=lambda cell: cell.metrics.relative_fd)


def farthest(cells: Iterable[CellResult]) -> CellResult:
    """The highest relative FD."""
    return max(cells, key=lambda cell: cell.metrics.relative_fd)


def surest(cells: Iterable[CellResult]) -> CellResult:
    """The highest accuracy."""
    return max(cells, key=lambda cell: cell.metrics.accuracy or 0.0)


def _grouped(cells: Iterable[CellResult], name: Callable[[CellResult], str]) -> dict[str, Cells]:
    groups: dict[str, Cells] = {}
    for cell in cells:
        groups.setdefault(name(cell), []).append(cell)
    return groups


def _condition_rank(cell: CellResult) -> tuple[bool, float]:
    return cell.run.settings.conditioning != "uncond", cell.settings.guidance
