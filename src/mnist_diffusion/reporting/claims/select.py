"""Finding the cells and runs that a claim is about by what they are, so that any scale will do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mnist_diffusion.reporting.claims.claim import UntestableError
from mnist_diffusion.reporting.results import CellResult, Results, RunResult


def in_table(
    results: Results, table: str, wanted: Callable[[CellResult], bool], what: str
) -> list[CellResult]:
    """The cells of a comparison that are wanted; UntestableError if there is none."""
    found = [cell for cell in results.chosen(table) if wanted(cell)]
    if not found:
        raise UntestableError(f"no cell of {what} is declared")
    return found


def by_sampler(
    results: Results, sampler: str, fewest: int, most: int, what: str
) -> list[CellResult]:
    """The plain cells of a sampler in so many steps, by rising steps."""
    found = in_table(
        results,
        "samplers",
        lambda c: c.settings.sampler == sampler and fewest <= c.settings.steps <= most,
        what,
    )
    return sorted(found, key=lambda cell: cell.settings.steps)


def changed(
    results: Results, what: str, key: str, choice: str, other: str
) -> tuple[CellResult, CellResult]:
    """Two cells of the training choices whose runs differ in one setting alone: choice, other.

    UntestableError if no such pair is declared.
    """
    cells = results.chosen("ablations")
    chosen = [cell for cell in cells if getattr(cell.run.settings, key) == choice]
    others = [cell for cell in cells if getattr(cell.run.settings, key) == other]
    for cell in chosen:
        for rival in others:
            if differ_only(cell.run, rival.run, {key}):
                return cell, rival
    raise UntestableError(
        f"no two runs that differ in {what} alone ({choice}, {other}) are declared"
    )


def frontier(results: Results) -> list[CellResult]:
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


def differ_only(one: RunResult, other: RunResult, keys: set[str]) -> bool:
    """Whether two runs differ in these settings and no others."""
    mine, theirs = one.settings.model_dump(), other.settings.model_dump()
    return {key for key in mine if mine[key] != theirs[key]} == keys
