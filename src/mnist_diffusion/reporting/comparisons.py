"""The broad comparisons: schedules, samplers, guidance, digits."""

from __future__ import annotations

from typing import Any

import pandas as pd

from mnist_diffusion.reporting import baseline
from mnist_diffusion.reporting.ranking import by_condition
from mnist_diffusion.reporting.results import CellResult, Results
from mnist_diffusion.reporting.rows import (
    ACCURACY,
    ACCURACY_OR_NONE,
    BOLD,
    CELL,
    DEPARTURES,
    EVALUATIONS,
    GUIDANCE,
    INTERVAL,
    LOSS,
    RELATIVE_FD,
    SAMPLER,
    SEED,
    STEPS,
    cell_row,
    run_row,
    telling,
)
from mnist_diffusion.reporting.table import Column, Table
from mnist_diffusion.reporting.words import SAMPLERS, machines

DIGITS = [str(digit) for digit in range(10)]
WAY = [SAMPLER, STEPS, Column("eta", "η", "{:g}"), DEPARTURES]
"""How a cell is drawn, guidance aside."""


def schedules(results: Results) -> Table:
    """Noise schedules, ranked only among cells of one conditioning and guidance."""
    groups = by_condition(results.chosen("schedules"))
    rows = [_schedule_row(group, cell) for group, cells in groups.items() for cell in cells]
    frame = pd.DataFrame(rows)
    differing = telling(frame, *WAY)
    return Table(
        "schedules",
        f"Noise schedules by conditioning, {_drawn(frame, differing)}; {BOLD} among rows of the "
        "same conditioning and guidance",
        frame,
        [
            CELL,
            Column("schedule", "schedule"),
            Column("conditioning", "conditioning"),
            GUIDANCE,
            Column("network", "network"),
            *telling(frame, LOSS, SEED),
            *differing,
            RELATIVE_FD,
            INTERVAL,
            ACCURACY_OR_NONE,
        ],
        group="group",
        note=" ".join(baseline.notes(results, results.chosen("schedules"))),
    )


def _schedule_row(group: str, cell: CellResult) -> dict[str, Any]:
    return {"group": group, **run_row(cell.run), **cell_row(cell)}


def _drawn(frame: pd.DataFrame, differing: list[Column]) -> str:
    """What the rows have in common, said only where they do."""
    if differing:
        return f"{', '.join(column.title for column in differing)} and guidance as stated"
    first = frame.iloc[0]
    return f"all in {first['steps']} steps of {SAMPLERS[first['sampler']]}, guidance as stated"


def samplers(results: Results) -> Table:
    """Samplers by steps, with what they cost."""
    cells = results.chosen("samplers")
    frame = pd.DataFrame([cell_row(cell) for cell in cells])
    frame = frame.sort_values("network_evaluations", kind="stable").sort_values(
        "sampler", key=lambda names: names.map(list(frame["sampler"].unique()).index), kind="stable"
    )
    machine = machines(cells)
    return Table(
        "samplers",
        f"Samplers by steps; {BOLD}",
        frame,
        [
            CELL,
            SAMPLER,
            STEPS,
            *telling(frame, DEPARTURES),
            EVALUATIONS,
            RELATIVE_FD,
            INTERVAL,
            ACCURACY,
            Column("seconds", "seconds for all n", "{:,.1f}"),
            Column("milliseconds_per_image", "ms per image", "{:.2f}"),
        ],
        note=f"{_fewer(cells)}Network evaluations per image are counted while drawing. Seconds are "
        f"the wall clock of the whole stage{f' on {machine}' if machine else ''}; n/a where no "
        "timing of exactly these images is at hand.",
    )


def _fewer(cells: list[CellResult]) -> str:
    """What to keep in mind where not all cells have as many images."""
    if len({cell.metrics.n for cell in cells}) == 1:
        return ""
    return (
        "FD falls as n grows: a cell of fewer images looks worse here than it is, and is set "
        "against others fairly only in the paired differences. "
    )


def guidance(results: Results) -> Table:
    """One run under rising guidance."""
    frame = pd.DataFrame([cell_row(cell) for cell in results.chosen("guidance")])
    return Table(
        "guidance",
        "Guidance scale s in ε∅ + s·(εc − ε∅): 0 ignores the label, 1 is plain conditional; "
        f"{BOLD}",
        frame.sort_values("guidance", kind="stable"),
        [
            CELL,
            GUIDANCE,
            *telling(frame, DEPARTURES),
            EVALUATIONS,
            RELATIVE_FD,
            INTERVAL,
            Column("fd", "FD", "{:#.3g}"),
            ACCURACY_OR_NONE,
            Column("confidence_percent", "mean confidence, %", "{:.1f}"),
        ],
    )


def per_class(results: Results) -> Table:
    """How often the judge sees the digit that was asked for."""
    real = _digits(results.classifier.accuracy_per_class) | {"cell": None, "name": "real test set"}
    asked = [
        _digits(cell.metrics.accuracy_per_class) | {"cell": cell.name, "name": cell.name}
        for cell in results.cells.values()
        if cell.metrics.accuracy_per_class is not None
    ]
    columns = [Column(digit, digit, "{:.1f}", pd.Series.max) for digit in DIGITS]
    return Table(
        "per-class",
        "Accuracy per digit asked for, %; first the judge's own on real digits; bold: "
        "highest of all cells",
        pd.DataFrame([real, *asked])[["name", "cell", *DIGITS]],
        [Column("name", "cell", cell="cell"), *columns],
        yardsticks=1,
    )


def _digits(accuracies: dict[str, float | None] | None) -> dict[str, Any]:
    known = accuracies or {}
    values = {digit: known.get(digit) for digit in DIGITS}
    return {d: float("nan") if value is None else 100 * value for d, value in values.items()}
