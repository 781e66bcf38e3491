"""An audit for people, as a table and lines, and for scripts, as JSON."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mnist_diffusion.audit.auditor import NAMES
from mnist_diffusion.audit.chain import REPORT
from mnist_diffusion.audit.findings import VERDICTS, Checked, Finding, Severity, some

STYLES = {"proven": "green", "failed": "bold red", "unverified": "yellow", "note": "cyan"}
ORDER = list(Severity)
FEW = 3
"""Cells that a finding names before it counts them."""
DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{20,}(\.dir)?\b")
"""People compare the first digits; scripts have all of them, in the JSON."""
PLACES = {"failed in": Severity.FAILED, "not verified in": Severity.UNVERIFIED}
"""Columns of the table that name checks; one that is empty is left out."""


def as_json(checked: Sequence[Checked], report: Checked, code: int) -> dict[str, Any]:
    """Everything, in a form that does not change with the terminal."""
    return {
        "verdict": VERDICTS[code],
        "cells": {one.cell: _one_as_json(one) for one in checked},
        "report": _one_as_json(report),
    }


def show(checked: Sequence[Checked], report: Checked, console: Console) -> None:
    """A table of cells, and below it what was found, the worst first, each once."""
    everything = [*checked, report]
    console.print(_table(everything))
    for severity in ORDER:
        for (text, values), told in _grouped(everything, severity).items():
            line = f"{some(told.items)}: {text}{values}{_whose(told, len(checked))}"
            console.print(f"[{STYLES[severity]}]{severity}[/] {escape(line)}", soft_wrap=True)
    console.print(_looked_at(everything), soft_wrap=True)
    console.print(_summary(checked, report), soft_wrap=True)


def _one_as_json(one: Checked) -> dict[str, Any]:
    findings = [asdict(finding) for finding in one.findings]
    return {"verdict": VERDICTS[one.code], "checks": one.checks, "findings": findings}


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
    said = ", ".join(f"{word} {_short(value)}" for word, value in values if value is not None)
    return f"; {said}" if said else ""


def _short(value: str) -> str:
    return DIGEST.sub(r"\1…", value)


def _whose(told: Told, of: int) -> str:
    """The cells a finding is about, unless the file it names says so."""
    words = {word for item in told.items for word in re.split("[/.,@ ]", item)}
    return (
        ""
        if of == 1 or told.cells.keys() <= words | {REPORT.address}
        else f" [{_cells(told.cells, of)}]"
    )


def _cells(cells: Collection[str], of: int) -> str:
    if len(cells) == of:
        return "all cells"
    first = list(cells)[:FEW]
    return f"{', '.join(first)}{f' and {len(cells) - FEW} more' if len(cells) > FEW else ''}"


def _table(checked: Sequence[Checked]) -> Table:
    used = {
        title: severity
        for title, severity in PLACES.items()
        if any(_checks(one, severity) for one in checked)
    }
    table = Table(box=None, pad_edge=False)
    table.add_column("cell", no_wrap=True, min_width=max(len(one.cell) for one in checked))
    for title in ("verdict", *used):
        table.add_column(title)
    for one in checked:
        verdict = VERDICTS[one.code]
        places = [_checks(one, severity) for severity in used.values()]
        table.add_row(one.cell, f"[{STYLES[verdict]}]{verdict}[/]", *places)
    return table


def _checks(one: Checked, severity: Severity) -> str:
    names = {finding.check for finding in one.findings if finding.severity == severity}
    return ", ".join(name for name in NAMES if name in names)


def _looked_at(checked: Sequence[Checked]) -> str:
    made = [name for name in NAMES if any(name in one.checks for one in checked)]
    more = "" if {"redrawn", "deep"} & {*made} else "; --regenerate 3 draws images again, too"
    return f"checked: {', '.join(made)}{more}"


def _summary(checked: Sequence[Checked], report: Checked) -> str:
    counts = [(verdict, sum(VERDICTS[c.code] == verdict for c in checked)) for verdict in VERDICTS]
    shown = ", ".join(f"{count} {verdict}" for verdict, count in counts if count)
    beside = f"; {report.cell} {VERDICTS[report.code]}" if report.code else ""
    return f"{len(checked)} {'cell' if len(checked) == 1 else 'cells'}: {shown}{beside}"
