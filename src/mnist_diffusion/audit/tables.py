"""The report's tables: the rows of a cell carry its numbers, as they are printed there."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from mnist_diffusion.audit.chain import Member
from mnist_diffusion.audit.evidence import Evidence
from mnist_diffusion.audit.findings import Findings, failed, unverified
from mnist_diffusion.audit.plainfiles import regular
from mnist_diffusion.files import paths

ALWAYS = ("cells", "provenance")
"""The tables that have every cell."""
SCORES = {
    "fd": ("fd", 1),
    "relative_fd_floor_percent": ("relative_fd_floor", 100),
    "relative_fd_percent": ("relative_fd", 100),
    "accuracy_percent": ("accuracy", 100),
    "confidence_percent": ("confidence", 100),
}
"""Columns of scores: the metric, and by how much it is multiplied."""
COLUMN = "cell"
BASELINE = "baseline"


def check(evidence: Evidence, member: Member) -> Findings:
    """Every number of the cell in every table is that of its metrics and its manifest."""
    cell = str(member.name)
    due = _due(evidence, cell)
    for path in sorted(paths.TABLES.glob("*.csv")):
        with regular(path).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if row.get(COLUMN) == cell:
                    yield from _row(path, cell, row, due | _of_a_pair(evidence, row, due))
    for name in ALWAYS:
        yield from _present(paths.TABLES / f"{name}.csv", cell)


def _due(evidence: Evidence, cell: str) -> dict[str, str]:
    """What a row of the cell says, by column, where it has that column."""
    report = evidence.json(paths.metrics(cell))
    manifest = evidence.json(Member("sample", cell).manifest)
    parameters, inputs = manifest["parameters"]["cell"], manifest["inputs"]
    low, high = report["intervals"]["relative_fd"] or (None, None)
    per_class = report["accuracy_per_class"] or {}
    values = {
        **{column: _times(report[key], factor) for column, (key, factor) in SCORES.items()},
        "relative_fd_low": _times(low, 100),
        "relative_fd_high": _times(high, 100),
        **{digit: _times(value, 100) for digit, value in per_class.items()},
        **{key: parameters[key] for key in ("run", "sampler", "steps", "eta", "spacing")},
        "n": report["n"],
        "network_evaluations": manifest["network_evaluations"],
        "first_step_signal": manifest["schedule"]["first_step_signal"],
        "alpha_bar_last": manifest["schedule"]["alpha_bar_last"],
        "weights": inputs["weights_sha256"],
        "betas": inputs["betas_sha256"],
        "samples": report["samples_sha256"],
        "classifier": report["classifier_sha256"],
    }
    return {column: _printed(value) for column, value in values.items()}


def _of_a_pair(evidence: Evidence, row: dict[str, str], due: dict[str, str]) -> dict[str, str]:
    """What a row that compares the cell with another says otherwise: on how many images of both."""
    if BASELINE not in row:
        return {}
    other = evidence.json(paths.metrics(row[BASELINE]))["n"]
    return {"n": str(min(int(due["n"]), other))}


def _times(value: float | None, factor: int) -> float | None:
    return None if value is None else factor * value


def _printed(value: Any) -> str:
    """As pandas writes a value into these tables."""
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _row(path: Path, cell: str, row: dict[str, Any], due: dict[str, str]) -> Findings:
    for column, text in due.items():
        if column in row and not _same(row[column], text):
            item = f"{path}: {cell}, {column}"
            yield failed(item, "not what was measured", text, row[column])


def _same(found: str | None, expected: str) -> bool:
    """Equal as text, or as numbers: a column of whole numbers may have been read as fractions."""
    try:
        return found == expected or float(found or "nan") == float(expected or "nan")
    except ValueError:
        return False


def _present(path: Path, cell: str) -> Findings:
    if not path.is_file():
        yield unverified(path, "not there; `dvc repro report` makes it")
        return
    with regular(path).open(encoding="utf-8", newline="") as file:
        if all(row.get(COLUMN) != cell for row in csv.DictReader(file)):
            yield unverified(path, f"has no row of {cell}; `dvc repro report` adds it")
