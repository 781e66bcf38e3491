"""All claims, in the order of the source document, and their outcomes."""

from __future__ import annotations

from mnist_diffusion.reporting.claims import (
    beyond,
    convergence,
    excess,
    forward,
    guidance,
    sampling,
    schedules,
    training,
)
from mnist_diffusion.reporting.claims.claim import Judged, Verdict, judge
from mnist_diffusion.reporting.results import Results

CLAIMS = [
    *forward.CLAIMS,
    *training.CLAIMS[:1],
    *convergence.CLAIMS,
    *training.CLAIMS[1:],
    *sampling.CLAIMS,
    *guidance.CLAIMS,
    *excess.CLAIMS,
    *beyond.CLAIMS,
    *schedules.CLAIMS,
]


def judged(results: Results) -> list[Judged]:
    """Every claim with what the numbers say of it."""
    return [judge(claim, results) for claim in CLAIMS]


def tally(outcomes: list[Judged]) -> dict[Verdict, int]:
    """How many claims have each verdict."""
    return {v: sum(one.outcome.verdict is v for one in outcomes) for v in Verdict}
