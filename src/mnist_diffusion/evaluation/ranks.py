"""Whether other judges rank the cells alike, and which two cells they put in another order."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import torch
from scipy.stats import kendalltau

from mnist_diffusion.evaluation.estimates import Estimate, reach_of
from mnist_diffusion.provenance.schemas.rank_report import RankDisagreement


def ranks(distances: Mapping[str, Estimate]) -> dict[str, int]:
    """1 for the lowest, by name."""
    order = sorted(distances, key=lambda name: distances[name].value)
    return {name: place for place, name in enumerate(order, start=1)}


def agreement(one: Mapping[str, Estimate], other: Mapping[str, Estimate]) -> float:
    """Kendall's tau of two judges' distances of the same cells: 1 for one order, -1 for reverse.

    Of a single cell, which has no order, 1.
    """
    if len(one) < 2:
        return 1.0
    values = ([found[name].value for name in one] for found in (one, other))
    return float(kendalltau(*values).statistic)


def disagreements(
    judged: Mapping[str, Mapping[str, Estimate]], level: float
) -> list[RankDisagreement]:
    """Every two cells that two judges order otherwise, from distances by judge and cell.

    Each judge's difference is tested by itself at this level: a pair is listed by luck alone where
    two tests of two judges are, to opposite sides.
    """
    cells = list(next(iter(judged.values())))
    found = []
    for cell, other in combinations(cells, 2):
        apart = {judge: _apart(own[cell], own[other]) for judge, own in judged.items()}
        signs = {
            value > 0 for value, error in apart.values() if abs(value) > reach_of(level) * error
        }
        if len(signs) == 2:
            values = {judge: value for judge, (value, _) in apart.items()}
            errors = {judge: error for judge, (_, error) in apart.items()}
            pair = RankDisagreement(cell=cell, other=other, differences=values, errors=errors)
            found.append(pair)
    return found


def _apart(one: Estimate, other: Estimate) -> tuple[float, float]:
    """The difference and its error: paired where the same digits were asked for."""
    if torch.equal(one.labels, other.labels):
        found = one.less(other)
        return found.value, found.error
    return one.value - other.value, (one.error**2 + other.error**2) ** 0.5
