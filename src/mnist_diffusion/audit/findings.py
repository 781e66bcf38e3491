"""What an audit finds: one line each, with what was expected and what is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from mnist_diffusion.runtime.errors import UserError

LONGEST = 90
NAMED = 10
"""How many places of one kind are named before the rest is counted."""


class Severity(StrEnum):
    """How bad a finding is; a note leaves a proof standing."""

    FAILED = "failed"
    UNVERIFIED = "unverified"
    NOTE = "note"


VERDICTS = ("proven", "failed", "unverified")
"""By exit code."""


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
    """Whose check found it."""


Findings = Iterator[Finding]


@dataclass(frozen=True)
class Checked:
    """An audited cell: all that was found, and what each check looked at."""

    cell: str
    findings: list[Finding] = field(default_factory=list)
    checks: dict[str, int] = field(default_factory=dict)
    """How many addresses each check was made for."""

    @property
    def code(self) -> int:
        """The exit code: 0 proven, 1 failed, 2 cannot verify."""
        found = {finding.severity for finding in self.findings}
        return 1 if Severity.FAILED in found else 2 if Severity.UNVERIFIED in found else 0


def failed(item: object, text: str, expected: object = None, found: object = None) -> Finding:
    """Something is wrong."""
    return _finding(Severity.FAILED, item, text, expected, found)


def unverified(item: object, text: str, expected: object = None, found: object = None) -> Finding:
    """Something cannot be looked at, so that nothing is known about it."""
    return _finding(Severity.UNVERIFIED, item, text, expected, found)


def note(item: object, text: str, expected: object = None, found: object = None) -> Finding:
    """Something worth knowing."""
    return _finding(Severity.NOTE, item, text, expected, found)


def gather(address: str, check: str, item: object, findings: Callable[[], Findings]) -> Findings:
    """What a check finds. A file that makes it stumble, however, is a finding about that file."""
    try:
        for finding in findings():
            yield replace(finding, address=address, check=check)
    except FileNotFoundError as error:
        # Whether it ought to be there is for the check of the files to say.
        lacking = unverified(error.filename or item, "not there, so not everything can be checked")
        yield replace(lacking, address=address, check=check)
    except Exception as error:
        stumble = failed(item, f"cannot be checked: {in_words(error)}")
        yield replace(stumble, address=address, check=check)


def in_words(error: Exception) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())
    if isinstance(error, UserError):  # it names the file, and what to do, by itself
        return text
    return _short(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def some(places: Iterable[object]) -> str:
    """The first few of a list, and how many more there are."""
    all_places = [str(place) for place in places]
    named = ", ".join(all_places[:NAMED])
    return named if len(all_places) <= NAMED else f"{named} and {len(all_places) - NAMED} more"


def equal(one: Any, other: Any) -> bool:
    """Equality in which 1 is 1.0, and not true."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)


def _finding(
    severity: Severity, item: object, text: str, expected: object, found: object
) -> Finding:
    return Finding(severity, str(item), text, _shown(expected), _shown(found))


def _shown(value: object) -> str | None:
    return None if value is None else _short(str(value))


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
