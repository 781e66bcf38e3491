"""The source's claims as a reader sees them: what is said, and what came of it by which figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mnist_diffusion.files.yamlfile import read_yaml
from mnist_diffusion.provenance.schemas.claim_reports import ClaimVerdict, Statement
from mnist_diffusion.reporting.charts import TEMPLATES
from mnist_diffusion.reporting.labels import signed_points
from mnist_diffusion.reporting.results import Results
from mnist_diffusion.runtime.errors import UserError

PROSE = TEMPLATES / "claims.yaml"
OUTCOMES = {
    "holds": ("hold", "✓"),
    "fails": ("fail", "✗"),
    "depends": ("depend", "≈"),
    "unresolved": ("unresolved", "?"),
    "identity": ("by construction", "="),
    "not testable here": ("not testable here", "–"),
}
"""What came of a claim: how several are counted, and a sign, so that colour is not all."""
HOLDING = ("holds", "fails", "unresolved")


@dataclass(frozen=True)
class Datum:
    """One figure of the evidence, with its interval, and the cell it is of."""

    label: str
    value: str
    cell: str | None = None


@dataclass(frozen=True)
class ShownClaim:
    """A sentence of the source, and what came of it."""

    name: str
    """A stable word: the row's anchor."""
    text: str
    section: str
    """The heading it stands under in the source."""
    test: str
    """How it is tested, and why so."""
    outcome: str
    reason: str
    data: list[Datum]

    @property
    def sign(self) -> str:
        """The outcome without words or colour."""
        return OUTCOMES[self.outcome][1]


def shown_claims(results: Results) -> list[ShownClaim]:
    """Every claim in the source's order; UserError for one of which nobody wrote what it says."""
    prose, judged = read_yaml(PROSE), results.judged.claims
    for name in judged:
        if name not in prose:
            raise UserError(f"{PROSE}: says nothing of claims.{name}; add its text and section")
    shown = []
    for name, verdict in ((name, judged[name]) for name in prose if name in judged):
        shown.append(
            ShownClaim(
                name,
                **prose[name],
                outcome=verdict.outcome,
                reason=_reason(verdict),
                data=_data(verdict),
            )
        )
    return shown


def tally(claims: Sequence[ShownClaim]) -> dict[str, str]:
    """How many claims have each outcome, as in "2 hold"; those that none has are left out."""
    counts = {word: sum(one.outcome == word for one in claims) for word in OUTCOMES}
    return {word: f"{n} {word if n == 1 else OUTCOMES[word][0]}" for word, n in counts.items() if n}


def by_section(claims: Sequence[ShownClaim]) -> dict[str, list[ShownClaim]]:
    """The claims by the heading they stand under, both in the order of the first."""
    found: dict[str, list[ShownClaim]] = {}
    for claim in claims:
        found.setdefault(claim.section, []).append(claim)
    return found


def _reason(verdict: ClaimVerdict) -> str:
    if verdict.why:
        return verdict.why
    if not verdict.statements:
        words = [f"{fact.words}{'' if fact.true else ' (not so)'}" for fact in verdict.facts]
        return f"{'; '.join(words)}."
    first = f"{_statement(verdict.statements[0])}."
    others = [one.finding for one in verdict.statements[1:]]
    counts = [f"{others.count(word)} {word}" for word in HOLDING if word in others]
    return f"{first} Of {len(others)} more: {', '.join(counts)}." if others else first


def _data(verdict: ClaimVerdict) -> list[Datum]:
    return [
        Datum(one.label, _figure(one), one.cells[0] if one.cells else None)
        for one in verdict.statements
    ]


def _statement(one: Statement) -> str:
    return f"{one.label}: {_figure(one)}"


def _figure(one: Statement) -> str:
    low, high = (_number(one, end) for end in one.interval)
    relation = f"{one.relation} ±" if one.relation in ("within", "beyond") else f"{one.relation} "
    if one.form == "ratio" and "±" in relation:
        relation = f"{one.relation} ×÷"
    expected = f"{relation}{_number(one, one.bound)}"
    finding = {"holds": "so", "fails": "not so"}.get(one.finding, one.finding)
    return f"{_number(one, one.estimate)} ({low} to {high}), expected {expected}: {finding}"


def _number(one: Statement, value: float) -> str:
    if one.form == "percent":
        return f"{signed_points(value)} %"
    return f"{value:.3g}"
