"""The source document's claims, each with the rule that judges it."""

from __future__ import annotations

from functools import cache, partial

from mnist_diffusion.files.yamlfile import read_yaml
from mnist_diffusion.reporting import sampling_claims, training_claims
from mnist_diffusion.reporting.charts import TEMPLATES
from mnist_diffusion.reporting.claims import Claim, ClaimOutcome, Verdict
from mnist_diffusion.reporting.results import Results

KNOWN = {**vars(training_claims), **vars(sampling_claims)}
"""Rules by the names of their claims, and the constants that they use."""


@cache
def claims() -> list[Claim]:
    """In the order of the source."""
    found = []
    for name, entry in read_yaml(TEMPLATES / "claims.yaml").items():
        reason = entry.pop("untestable", None)
        rule = partial(_untestable, reason) if reason else KNOWN[name.replace("-", "_")]
        test = entry.pop("test").format_map(KNOWN)
        found.append(Claim(name=name, test=test, rule=rule, **entry))
    return found


def _untestable(reason: str, results: Results) -> ClaimOutcome:
    """Of a claim for which nothing is declared at any scale."""
    return ClaimOutcome(Verdict.UNTESTED, reason)
