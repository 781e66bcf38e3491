"""An audit for people, as a table and lines, and for scripts, as JSON."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mnist_diffusion.audit.auditor import NAMES
from mnist_diffusion.audit.findings import VERDICTS, Checked, Finding, Severity, some

STYLES = {"proven": "green", "failed": "bold red", "unverified": "yellow", "note": "cyan"}
ORDER = list(Severity)
FEW = 3
"""Cells that a finding names before it counts them."""


def as_json(checked: Sequence[Checked], code: int) -> dict[str, Any]:
    """Everything, in a form that does not change with the terminal."""
    return {
        "verdict": VERDICTS[code],
        "cells": {
            one.cell: {
                "verdict": VERDICTS[one.code],
                "checks": one.checks,
                "findings": [asdict(finding) for finding in one.findings],
            }
            for one in checked
        },
    }


def show(checked: Sequence[Checked], console: Console) -> None:
    """A table of cells, and below it what was found, the worst first, each once."""
    console.print(_table(checked))
    for severity in ORDER:
        for (text, values), told in _grouped(checked, severity).items():
            whose = f" [{_cells(told.cells, len(checked))}]" if len(checked) > 1 else ""
            line = f"{some(told.items)}: {text}{values}{whose}"
            console.print(f"[{STYLES[severity]}]{severity}[/] {escape(line)}", soft_wrap=True)
    console.print(_summary(checked), soft_wrap=True)


@dataclass
class Told:
    """Where one thing was found, as keys in the order of finding."""

    items: dict[str, None] = field(default_factory=dict)
    cells: dict[str, None] = field(default_factory=dict)


def _grouped(checked: Sequence[Checked], severity: Severity) -> dict[tuple[str, str], Told]:
    """Equal words are said once, for all the items and cells they are true of."""
    told: dict[tuple[str, str], Told] = {}
    for one in checked:
        for finding in one.findings:
            if finding.severity == severity:
                place = told.setdefault((finding.text, _values(finding)), Told())
                place.items[finding.item] = None
                place.cells[one.cell] = None
    return told


def _values(finding: Finding) -> str:
    values = (("expected", finding.expected), ("found", finding.found))
    said = ", ".join(f"{word} {value}" for word, value in values if value is not None)
    return f"; {said}" if said else ""


def _table(checked: Sequence[Checked]) -> Table:
    table = Table("cell", "verdict", "failed in", "not verified in", box=None, pad_edge=False)
    for one in checked:
        verdict = VERDICTS[one.code]
        places = [_checks(one, severity) for severity in (Severity.FAILED, Severity.UNVERIFIED)]
        table.add_row(one.cell, f"[{STYLES[verdict]}]{verdict}[/]", *places)
    return table


def _checks(one: Checked, severity: Severity) -> str:
    names = {finding.check for finding in one.findings if finding.severity == severity}
    return ", ".join(name for name in NAMES if name in names)


def _cells(cells: Collection[str], of: int) -> str:
    if len(cells) == of:
        return "all"
    first = list(cells)[:FEW]
    return f"{', '.join(first)}{' and others' if len(cells) > FEW else ''}"


def _summary(checked: Sequence[Checked]) -> str:
    made = ", ".join(name for name in NAMES if any(name in one.checks for one in checked))
    counts = [(verdict, sum(VERDICTS[c.code] == verdict for c in checked)) for verdict in VERDICTS]
    shown = ", ".join(f"{count} {verdict}" for verdict, count in counts if count)
    return f"{len(checked)} audited ({made}): {shown}"
