"""The effects of training as rows of a table, and what they could be mistaken for, in words."""

from __future__ import annotations

from mnist_diffusion.evaluation.metrics import METRICS
from mnist_diffusion.provenance.schemas.claim_reports import EffectsReport, MainEffect

NOTED = 0.4
"""An interaction of which less than this share could be taken for an effect is not spoken of."""


def effect_rows(report: EffectsReport) -> list[dict[str, str]]:
    """A row a contrast, both feature extractors beside each other."""
    rows: dict[tuple[str, str, str], dict[str, str]] = {}
    for one in report.effects:
        contrast = (one.factor, one.level, one.base)
        row = rows.setdefault(contrast, {"classifier": "", "autoencoder": ""})
        row |= {"factor": one.factor, "level": one.level, "base": one.base}
        row[METRICS[one.metric].network or ""] = _told(one)
    return list(rows.values())


def resolution(report: EffectsReport) -> str:
    """How small an effect could be and still be told from none, under the classifier's features."""
    ends = [one.interval for one in report.effects if METRICS[one.metric].network == "classifier"]
    widest = max(100 * ((high / low) ** 0.5 - 1) for low, high in ends)
    return f"an effect of {widest:.0f} % or more is told from none."


def aliased(report: EffectsReport) -> str:
    """Which interactions of two factors an effect cannot be told from, for a good part."""
    mixed = sorted(
        {
            f"{' × '.join(one.interaction)} with {one.factor}"
            for one in report.aliases
            if one.share >= NOTED and one.factor not in one.interaction
        }
    )
    if not mixed:
        return "no interaction of two factors is mixed into another's effect by two fifths or more."
    listed = "; ".join(mixed)
    return f"interactions that could be taken for an effect, by two fifths or more: {listed}."


def _told(one: MainEffect) -> str:
    low, high = one.interval
    return f"×{one.ratio:.2f} ({low:.2f} to {high:.2f}): {one.verdict}"
