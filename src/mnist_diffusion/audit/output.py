"""What an audit finds, and how it is shown: a table and lines for people, JSON for scripts."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mnist_diffusion.files import jsonfile
from mnist_diffusion.runtime.errors import in_one_line

LONGEST = 90
NAMED = 10
"""How many places of one kind are named before the rest is counted."""
CODES = {"failed": 1, "unverified": 2}
"""Exit codes; all else is proven."""
STYLES = {
    "proven": "green",
    "proven within rounding": "green",
    "failed": "bold red",
    "unverified": "yellow",
    "note": "cyan",
}
DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b")
"""People compare the first digits; scripts have all of them, in the JSON."""


class Severity(StrEnum):
    """How bad a finding is, the worst first.

    A note leaves a proof standing, and rounding one that says so.
    """

    FAILED = "failed"
    UNVERIFIED = "unverified"
    ROUNDED = "proven within rounding"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be."""

    severity: Severity
    item: str
    """A file or a key."""
    text: str
    """What is wrong with it, in plain words."""
    expected: str | None = None
    found: str | None = None
    check: str = ""
    address: str = ""
    """The stage whose check found it."""


Findings = Iterator[Finding]


@dataclass(frozen=True)
class Checked:
    """An audited cell, or what is beside the cells: all found, and what each check looked at."""

    cell: str
    findings: list[Finding] = field(default_factory=list)
    checks: Counter[str] = field(default_factory=Counter)
    """How many stages each check was made for."""

    @property
    def code(self) -> int:
        """The exit code: 0 proven, 1 failed, 2 cannot verify."""
        return CODES.get(self.verdict, 0)

    @property
    def verdict(self) -> str:
        """By the worst that was found."""
        found = {finding.severity for finding in self.findings} - {Severity.NOTE}
        return str(min(found, key=list(Severity).index, default="proven"))

    def as_json(self) -> dict[str, Any]:
        findings = [asdict(finding) for finding in self.findings]
        return {"verdict": self.verdict, "checks": self.checks, "findings": findings}


def _finding(
    severity: Severity, item: object, text: str, expected: object = None, found: object = None
) -> Finding:
    return Finding(severity, str(item), text, _shown(expected), _shown(found))


failed = partial(_finding, Severity.FAILED)
"""Something is wrong."""
rounded = partial(_finding, Severity.ROUNDED)
"""Something is what it should be, but for how kernels round."""
unverified = partial(_finding, Severity.UNVERIFIED)
"""Something cannot be looked at, so that nothing is known about it."""
note = partial(_finding, Severity.NOTE)
"""Something worth knowing."""


def gather(address: str, check: str, item: object, findings: Callable[[], Findings]) -> Findings:
    """What a check finds. A file that makes it stumble, however, is a finding about that file."""
    try:
        for finding in findings():
            own = finding.address or address, finding.check or check
            yield replace(finding, address=own[0], check=own[1])
    except Exception as error:
        causes = (error, error.__context__)
        lacking = [cause for cause in causes if isinstance(cause, FileNotFoundError)]
        if lacking:  # whether it ought to be there is for DVC to say
            name = lacking[0].filename or item
            finding = unverified(name, "not there, so not everything can be checked")
        else:
            finding = failed(item, f"cannot be checked: {in_one_line(error)}")
        yield replace(finding, address=address, check=check)


def some(places: Iterable[object], named: int = NAMED) -> str:
    """The first few of a list, and how many more there are."""
    every = [str(place) for place in places]
    more = f" and {len(every) - named} more" if len(every) > named else ""
    return ", ".join(every[:named]) + more


def from_there(context: typer.Context, path: Path | None) -> Path | None:
    """A path as whoever calls means it; all else is meant from the repository's root."""
    return path and context.obj / path.expanduser()


def together(checked: Iterable[Checked]) -> Checked:
    """All of them as one: one that failed outweighs all others."""
    return Checked("all", [finding for one in checked for finding in one.findings])


def print_json(checked: Sequence[Checked], *beside: Checked) -> int:
    """Everything, in a form that does not change with the terminal; the exit code."""
    whole = together([*checked, *beside])
    content = {
        "verdict": whole.verdict,
        "cells": {one.cell: one.as_json() for one in checked},
        **{one.cell: one.as_json() for one in beside},
    }
    sys.stdout.write(jsonfile.to_text(content))
    return whole.code


def print_audit(
    checked: Sequence[Checked], *beside: Checked, console: Console | None = None
) -> int:
    """A table, and below it what was found, the worst first, each once; the exit code.

    Of places to which one note belongs, one is named and the others are counted.
    """
    console = console or Console(highlight=False)
    everything = [*checked, *beside]
    console.print(_table(everything))
    for severity in Severity:
        items: dict[str, dict[str, None]] = {}
        for finding in (f for one in everything for f in one.findings if f.severity == severity):
            items.setdefault(_text(finding), {})[finding.item] = None
        named = 1 if severity == Severity.NOTE else NAMED
        for text, places in items.items():
            line = f"[{STYLES[severity]}]{severity}[/] {escape(f'{some(places, named)}: {text}')}"
            console.print(line, soft_wrap=True)
    made = dict.fromkeys(name for one in everything for name in one.checks)
    more = "" if {"redrawn", "deep"} & {*made} else "; --regenerate 3 draws images again, too"
    console.print(f"checked: {', '.join(made)}{more}", soft_wrap=True)
    verdicts = [one.verdict for one in checked]
    counts = ", ".join(f"{verdicts.count(v)} {v}" for v in STYLES if v in verdicts)
    more = "".join(f"; {one.cell} {one.verdict}" for one in beside if one.code)
    number = "1 cell" if len(checked) == 1 else f"{len(checked)} cells"
    console.print(f"{number}: {counts}{more}", soft_wrap=True)
    return together(everything).code


def _text(finding: Finding) -> str:
    values = (("; expected", finding.expected), (", found", finding.found))
    shown = [f"{word} {value}" for word, value in values if value is not None]
    return DIGEST.sub(r"\1…", finding.text + "".join(shown))


def _table(checked: Sequence[Checked]) -> Table:
    """A row a cell, with the checks that keep it from being proven, if any do."""
    by = [
        ", ".join(dict.fromkeys(f.check for f in one.findings if f.severity == one.verdict))
        for one in checked
    ]
    table = Table(box=None, pad_edge=False)
    table.add_column("cell", no_wrap=True, min_width=max(len(one.cell) for one in checked))
    table.add_column("verdict")
    if any(by):
        table.add_column("by")
    for one, checks in zip(checked, by, strict=True):
        verdict = f"[{STYLES[one.verdict]}]{one.verdict}[/]"
        table.add_row(one.cell, verdict, *([checks] if any(by) else []))
    return table


def _shown(value: object) -> str | None:
    text = str(value)
    short = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return None if value is None else short
