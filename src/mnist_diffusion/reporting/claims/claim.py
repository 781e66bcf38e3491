"""A claim, how it is judged, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from mnist_diffusion.reporting.results import Results


class Verdict(StrEnum):
    """What the numbers say of a claim."""

    HOLDS = "holds"
    FAILS = "fails"
    DEPENDS = "depends"
    UNTESTED = "not testable at this scale"

    def of(self, count: int) -> str:
        """So many claims and what is said of them, as in "2 hold"."""
        several = self is not Verdict.UNTESTED and count != 1
        return f"{count} {self.removesuffix('s') if several else self}"


class UntestableError(Exception):
    """What a claim needs is not declared at this scale; the message says what."""


@dataclass(frozen=True)
class Datum:
    """One figure of the evidence, with its interval where it has one, and the cell it is of."""

    label: str
    value: str
    cell: str | None = None


@dataclass(frozen=True)
class Outcome:
    """A verdict, the reason in a sentence, and the figures behind it."""

    verdict: Verdict
    reason: str
    data: list[Datum] = field(default_factory=list)


@dataclass(frozen=True)
class Claim:
    """A sentence of the source, where it stands, and the rule that judges it."""

    name: str
    """A stable word: the row's anchor."""
    text: str
    section: str
    """The heading it stands under in the source."""
    test: str
    """How it is tested, and when it holds."""
    judge: Callable[[Results], Outcome]


@dataclass(frozen=True)
class Judged:
    """A claim with its outcome."""

    claim: Claim
    outcome: Outcome


def judge(claim: Claim, results: Results) -> Judged:
    """Apply the claim's rule; what the scale does not declare makes no verdict."""
    try:
        return Judged(claim, claim.judge(results))
    except UntestableError as error:
        return Judged(claim, Outcome(Verdict.UNTESTED, str(error)))


def by_share(held: int, of: int) -> Verdict:
    """All hold, none holds, or it depends."""
    if held == of:
        return Verdict.HOLDS
    return Verdict.FAILS if held == 0 else Verdict.DEPENDS
