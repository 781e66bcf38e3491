"""The source's claims and the effects of training as a reader sees them: words and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mnist_diffusion.evaluation.metrics import METRICS
from mnist_diffusion.files.yamlfile import read_yaml
from mnist_diffusion.provenance.schemas.claim_reports import ClaimVerdict, EffectsReport, Statement
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
FINDINGS = {"holds": "so", "fails": "not so", "unresolved": "unresolved"}
NOTED = 0.4
"""An interaction of which less than this share could be taken for an effect is not spoken of."""


@dataclass(frozen=True)
class ShownClaim:
    """A sentence of the source, how it is tested and why so, and what came of it."""

    name: str
    """A stable word: the row's anchor."""
    text: str
    test: str
    verdict: ClaimVerdict

    @property
    def reason(self) -> str:
        """Why the verdict is so, in a few words; the rest is counted."""
        if self.verdict.why:
            return self.verdict.why
        if not self.verdict.statements:
            facts = [f"{one.words}{'' if one.true else ' (not so)'}" for one in self.verdict.facts]
            return f"{'; '.join(facts)}."
        first, *others = self.verdict.statements
        told = [one.finding for one in others]
        counts = [f"{told.count(word)} {word}" for word in FINDINGS if word in told]
        more = f" Of {len(others)} more: {', '.join(counts)}." if others else ""
        return f"{first.label}: {figure(first)}.{more}"


def shown_claims(results: Results) -> dict[str, list[ShownClaim]]:
    """Every claim by the source's headings; UserError for one that has no text."""
    prose, judged = read_yaml(PROSE), results.judged.claims
    for name in judged:
        if not any(name in own for own in prose.values()):
            raise UserError(f"{PROSE}: says nothing of claims.{name}; add its text under a section")
    shown = {
        section: [ShownClaim(n, **own[n], verdict=judged[n]) for n in own if n in judged]
        for section, own in prose.items()
    }
    return {section: claims for section, claims in shown.items() if claims}


def tally(outcomes: Sequence[str]) -> dict[str, str]:
    """How many claims have each outcome, as in "2 hold"; those that none has are left out."""
    counts = {word: outcomes.count(word) for word in OUTCOMES}
    return {word: f"{n} {word if n == 1 else OUTCOMES[word][0]}" for word, n in counts.items() if n}


def figure(one: Statement) -> str:
    """A figure of the evidence: the estimate, its interval, and what was expected."""
    estimate, low, high, bound = (
        f"{signed_points(value)} %" if one.form == "percent" else f"{value:.3g}"
        for value in (one.estimate, *one.interval, one.bound)
    )
    either_way = "×÷" if one.form == "ratio" else "±"
    sign = either_way if one.relation in ("within", "beyond") else ""
    expected = f"expected {one.relation} {sign}{bound}"
    return f"{estimate} ({low} to {high}), {expected}: {FINDINGS[one.finding]}"


def effect_rows(report: EffectsReport) -> list[dict[str, str]]:
    """A row a contrast, both feature extractors beside each other."""
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for one in report.effects:
        own = {"factor": one.factor, "level": one.level, "base": one.base}
        row = rows.setdefault((*own.values(),), own | {"classifier": "", "autoencoder": ""})
        low, high = one.interval
        told = f"×{one.ratio:.2f} ({low:.2f} to {high:.2f}): {one.verdict}"
        row[METRICS[one.metric].network or ""] = told
    return list(rows.values())


def resolution(report: EffectsReport) -> str:
    """How small an effect could be and still be told from none, under the classifier's features."""
    ends = [one.interval for one in report.effects if METRICS[one.metric].network == "classifier"]
    widest = max(100 * ((high / low) ** 0.5 - 1) for low, high in ends)
    return f"an effect of {widest:.0f} % or more is told from none."


def aliased(report: EffectsReport) -> str:
    """Which interactions of two factors an effect cannot be told from, for a good part."""
    mixed = {
        f"{' × '.join(one.interaction)} with {one.factor}"
        for one in report.aliases
        if one.share >= NOTED and one.factor not in one.interaction
    }
    if not mixed:
        return "no interaction of two factors is mixed into another's effect by two fifths or more."
    listed = "; ".join(sorted(mixed))
    return f"interactions that could be taken for an effect, by two fifths or more: {listed}."
