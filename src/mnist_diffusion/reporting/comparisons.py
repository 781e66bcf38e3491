"""The comparisons: schedules, samplers, guidance, digits."""

from __future__ import annotations

from typing import Any

import pandas as pd

from mnist_diffusion.reporting.results import CellResult, Results
from mnist_diffusion.reporting.rows import (
    ACCURACY,
    ACCURACY_OR_NONE,
    CELL,
    EVALUATIONS,
    NONE,
    RELATIVE_FD,
    cell_row,
    measured,
)
from mnist_diffusion.reporting.table import Column, Table

DIGITS = [str(digit) for digit in range(10)]


def schedules(results: Results) -> Table:
    """Noise schedules by conditioning: one row for all that else differs, columns per condition."""
    rows: list[dict[str, Any]] = []
    for cell in results.chosen("schedules"):
        choice, half = _choice(cell), _half(cell)
        # A second cell of the same choice and condition (another guidance) starts its own row.
        alike = (row for row in rows if choice.items() <= row.items())
        row = next((row for row in alike if not half.keys() & row.keys()), None)
        if row is None:
            rows.append(row := choice)
        row |= half
    halves = [f"{c}_{key}" for c in ("uncond", "class") for key in ("cell", *_MEASURED)]
    frame = pd.DataFrame(rows)
    frame = frame.reindex(columns=[*(c for c in frame if c not in halves), *halves])
    differing = [c for c in ("seed", "sampler", "steps") if frame[c].nunique() > 1]
    return Table(
        "schedules",
        "Noise schedules by conditioning, every run drawn in the same way"
        if differing in ([], ["seed"])
        else "Noise schedules by conditioning",
        frame,
        [
            Column("schedule", "schedule"),
            *(Column(c, "training seed" if c == "seed" else c) for c in differing),
            Column("network", "network"),
            Column("weighting", "error minimised"),
            _wide("uncond"),
            _wide("class"),
            _wide_accuracy(),
        ],
    )


_MEASURED = ("relative_fd_percent", "accuracy_percent")


def _choice(cell: CellResult) -> dict[str, Any]:
    run = cell.run.settings.model_dump(exclude={"conditioning"})
    return run | {"sampler": cell.settings.sampler, "steps": cell.settings.steps}


def _half(cell: CellResult) -> dict[str, Any]:
    values = {"cell": cell.name, **measured(cell)}
    return {f"{cell.run.settings.conditioning}_{key}": value for key, value in values.items()}


def _wide(conditioning: str) -> Column:
    name = {"uncond": "unconditional", "class": "class"}[conditioning]
    key = f"{conditioning}_relative_fd_percent"
    title = f"{name}: relative FD, %"
    return Column(key, title, "{:.2f}", pd.Series.min, f"{conditioning}_cell", NONE)


def _wide_accuracy() -> Column:
    title = "class: accuracy, %"
    return Column("class_accuracy_percent", title, "{:.1f}", pd.Series.max, "class_cell", NONE)


def samplers(results: Results) -> Table:
    """Samplers by steps, with what they cost."""
    frame = pd.DataFrame([cell_row(cell) for cell in results.chosen("samplers")])
    frame = frame.sort_values("network_evaluations", kind="stable").sort_values(
        "sampler", key=lambda names: names.map(list(frame["sampler"].unique()).index), kind="stable"
    )
    return Table(
        "samplers",
        "Samplers by steps; seconds are the wall clock of the machine that drew the images",
        frame,
        [
            CELL,
            Column("sampler", "sampler"),
            Column("steps", "steps"),
            EVALUATIONS,
            RELATIVE_FD,
            ACCURACY,
            Column("seconds", "seconds for all n", "{:,.1f}"),
            Column("milliseconds_per_image", "ms per image", "{:.2f}"),
        ],
    )


def guidance(results: Results) -> Table:
    """One run under rising guidance."""
    frame = pd.DataFrame([cell_row(cell) for cell in results.chosen("guidance")])
    return Table(
        "guidance",
        "Guidance scale s in ε∅ + s·(εc − ε∅): 0 ignores the label, 1 is plain conditional",
        frame.sort_values("guidance", kind="stable"),
        [
            CELL,
            Column("guidance", "s", "{:g}"),
            EVALUATIONS,
            RELATIVE_FD,
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
        "Accuracy per digit asked for, %; first the judge's own on real digits",
        pd.DataFrame([real, *asked])[["name", "cell", *DIGITS]],
        [Column("name", "cell", cell="cell"), *columns],
        yardsticks=1,
    )


def _digits(accuracies: dict[str, float | None] | None) -> dict[str, Any]:
    known = accuracies or {}
    values = {digit: known.get(digit) for digit in DIGITS}
    return {d: float("nan") if value is None else 100 * value for d, value in values.items()}
