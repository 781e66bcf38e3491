"""An audit for people, as a table and lines, and for scripts, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mnist_diffusion.audit.auditor import NAMES
from mnist_diffusion.audit.findings import VERDICTS, Checked, Finding, Severity

STYLES = {"proven": "green", "failed": "bold red", "unverified": "yellow", "note": "cyan"}
MARKS = {Severity.FAILED: "✗", Severity.UNVERIFIED: "?", Severity.NOTE: "✓"}
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
    """A table of cells and checks, and below it every finding once, the worst first."""
    console.print(_table(checked))
    told: dict[Finding, list[str]] = {}
    for one in checked:
        for finding in one.findings:
            told.setdefault(finding, []).append(one.cell)
    for finding, cells in sorted(told.items(), key=lambda pair: ORDER.index(pair[0].severity)):
        console.print(_line(finding, cells, len(checked)), soft_wrap=True)
    console.print(_summary(checked), soft_wrap=True)


def _table(checked: Sequence[Checked]) -> Table:
    names = [name for name in NAMES if any(name in one.checks for one in checked)]
    table = Table(*["cell", "verdict", *names], box=None, pad_edge=False)
    for one in checked:
        verdict = VERDICTS[one.code]
        marks = [_mark(one, name) for name in names]
        table.add_row(one.cell, f"[{STYLES[verdict]}]{verdict}[/]", *marks)
    return table


def _mark(one: Checked, name: str) -> str:
    if name not in one.checks:
        return ""
    severities = {finding.severity for finding in one.findings if finding.check == name}
    worst = next((severity for severity in ORDER if severity in severities), None)
    style = STYLES[worst] if worst else STYLES["proven"]
    return f"[{style}]{MARKS[worst] if worst else '✓'}[/]"


def _line(finding: Finding, cells: Sequence[str], of: int) -> str:
    whose = "" if of == 1 else f" ({_cells(cells, of)})"
    values = [
        f"{word} {escape(value)}"
        for word, value in (("expected", finding.expected), ("found", finding.found))
        if value is not None
    ]
    told = f"{escape(finding.item)}: {escape(finding.text)}"
    rest = f"; {', '.join(values)}" if values else ""
    return f"[{STYLES[finding.severity]}]{finding.severity}[/] {told}{rest}{escape(whose)}"


def _cells(cells: Sequence[str], of: int) -> str:
    if len(cells) == of:
        return "all"
    return ", ".join(cells) if len(cells) <= FEW else f"{', '.join(cells[:FEW])} and others"


def _summary(checked: Sequence[Checked]) -> str:
    counts = [(verdict, sum(VERDICTS[c.code] == verdict for c in checked)) for verdict in VERDICTS]
    shown = ", ".join(f"{count} {verdict}" for verdict, count in counts if count)
    return f"{len(checked)} audited: {shown}"
