"""Claims judged by what was measured: a statement a test, an outcome a claim. No torch.

A claim holds if all its statements do. What is so by construction is tallied apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mnist_diffusion.evaluation.cell_scores import UntestableError
from mnist_diffusion.evaluation.designs import InestimableError
from mnist_diffusion.evaluation.evidence import Evidence, Measured
from mnist_diffusion.evaluation.quantities import holm, holm_levels
from mnist_diffusion.provenance.schemas.claim_reports import ClaimVerdict, Fact, Outcome, Statement
from mnist_diffusion.settings.claims import Claim


def judged(claims: Mapping[str, Claim], evidence: Evidence) -> dict[str, ClaimVerdict]:
    """Every claim; within a family a false verdict is as rare as in a single one (Holm).

    A claim says that all its statements hold: its p-value is their largest (an intersection-union
    test: Berger 1982).
    """
    found = {name: _found(claim, evidence) for name, claim in claims.items()}
    verdicts: dict[str, ClaimVerdict] = {}
    for family in dict.fromkeys(claim.family for claim in claims.values()):
        own = [name for name in claims if claims[name].family == family]
        tested = [name for name in own if _quantities(found[name])]
        p_values = [max(one.p() for one in _quantities(found[name])) for name in tested]
        levels = dict(zip(tested, holm_levels(p_values, evidence.level), strict=True))
        p_of = dict(zip(tested, zip(p_values, holm(p_values), strict=True), strict=True))
        for name in own:
            verdicts[name] = _verdict(family, found[name], levels.get(name), p_of.get(name))
    return {name: verdicts[name] for name in claims}


Found = list[Measured | Fact] | str
"""What a claim's tests come to, or why there is nothing."""


def _found(claim: Claim, evidence: Evidence) -> Found:
    try:
        return [one for test in claim.tests for one in evidence.measure(test)]
    except (UntestableError, InestimableError) as error:
        return str(error)


def _quantities(found: Found) -> list[Measured]:
    return [one for one in found if isinstance(one, Measured)]


def _verdict(
    family: str, found: Found, level: float | None, p: tuple[float, float] | None
) -> ClaimVerdict:
    statements = [one.stated(level) for one in _quantities(found)] if level else []
    facts = [one for one in found if isinstance(one, Fact)]
    return ClaimVerdict(
        outcome="not testable here" if isinstance(found, str) else outcome(statements, facts),
        family=family,
        level=level,
        p=p[0] if p else None,
        p_holm=p[1] if p else None,
        statements=statements,
        facts=facts,
        why=found if isinstance(found, str) else "",
    )


def outcome(statements: Sequence[Statement], facts: Sequence[Fact]) -> Outcome:
    """All hold, none does, some do and some do not, or something is left open.

    Of facts alone: by construction, if all are so.
    """
    findings = {one.finding for one in statements} | {
        "holds" if fact.true else "fails" for fact in facts
    }
    if findings >= {"holds", "fails"}:
        return "depends"
    if "unresolved" in findings:
        return "unresolved"
    if findings == {"fails"}:
        return "fails"
    return "holds" if statements else "identity"
