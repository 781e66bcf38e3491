"""Which metric sees which corruption, as a grid with words."""

from __future__ import annotations

from dataclasses import dataclass

from mnist_diffusion.reporting.measures import Sight
from mnist_diffusion.reporting.results import Results
from mnist_diffusion.reporting.words import METRICS


@dataclass(frozen=True)
class Grid:
    """Corruptions across, metrics down; each square in a word."""

    corruptions: list[str]
    rows: dict[str, list[str]]
    """By metric: sees, blind (it must and does not) or not its job; flattered or not."""
    blind: list[str]
    """Half a sentence per metric with a blind spot."""
    flattered: list[str]
    """Half a sentence per metric that takes some spoilt digits for better than real ones."""


def sight(results: Results) -> Grid:
    """The verdicts of the calibration."""
    found = {(s.metric, s.corruption): s for s in results.evidence.calibration.verdicts}
    metrics = list(dict.fromkeys(metric for metric, _ in found))
    corruptions = list(dict.fromkeys(corruption for _, corruption in found))
    rows = {
        METRICS.get(metric, metric): [_word(found.get((metric, c))) for c in corruptions]
        for metric in metrics
    }
    judged = list(found.values())
    blind = _told("is blind to", [one for one in judged if one.blind])
    flattered = _told("is flattered by", [one for one in judged if one.flattered])
    return Grid(corruptions, rows, blind, flattered)


def _told(says: str, those: list[Sight]) -> list[str]:
    spots: dict[str, list[str]] = {}
    for one in those:
        spots.setdefault(METRICS.get(one.metric, one.metric), []).append(one.corruption)
    return [f"{metric} {says} {', '.join(own)}" for metric, own in spots.items()]


def _word(found: Sight | None) -> str:
    if found is None:
        return "not tried"
    word = "sees" if found.sees else "blind" if found.blind else "no, nor must it"
    return f"{word}, flattered" if found.flattered else word
