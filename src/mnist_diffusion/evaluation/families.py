"""Families of verdicts: the differences of a table, by what their errors share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy.stats import t as student
from torch import Tensor

from mnist_diffusion.evaluation.designs import Fit, Matrix, largest_t
from mnist_diffusion.evaluation.estimates import Estimate
from mnist_diffusion.runtime.seeds import generator

DRAWS = 100_000
"""Of normal errors. At a level of 95 % they leave the reach right to 0.3 %."""


@dataclass(frozen=True)
class Family:
    """Differences on which verdicts are given together (max-T: Hothorn, Bretz & Westfall 2008)."""

    largest: Tensor
    """(draws,) rising: how many standard errors the largest of them is off, none being real."""
    size: int

    @classmethod
    def of(cls, estimates: Sequence[Estimate], seed: int) -> Family:
        """Of estimates over the first images of the same sets, whose errors hang together."""
        values, vectors = torch.linalg.eigh(_correlation(estimates))
        root = vectors * values.clamp(min=0).sqrt()
        shape = (DRAWS, len(estimates))
        luck = torch.randn(shape, dtype=torch.float64, generator=generator(seed, "compare/max-t"))
        return cls((luck @ root.T).abs().amax(dim=1).sort().values, len(estimates))

    @classmethod
    def of_trainings(cls, fit: Fit, weights: Sequence[Matrix], seed: int) -> Family:
        """Of differences between trainings, each a weighted sum of their scores.

        Their spread is estimated from the same trainings, and its luck is in the draws.
        """
        shape, source = (DRAWS, len(fit.scores)), generator(seed, "claims/max-t")
        luck = torch.randn(shape, dtype=torch.float64, generator=source)
        largest = torch.from_numpy(largest_t(fit, weights, luck.numpy()))
        return cls(largest.sort().values, len(weights))

    def reach(self, level: float) -> float:
        """How many standard errors on either side hold all truths at once, so often."""
        return float(torch.quantile(self.largest, level))

    def adjusted(self, p: float, df: float = math.inf) -> float:
        """How often a p-value as small as this comes up anywhere in the family by luck alone.

        Beyond the draws it is Bonferroni's, which is never too small.
        """
        off = torch.tensor(student.isf(p / 2, df), dtype=torch.float64)
        beyond = DRAWS - int(torch.searchsorted(self.largest, off))
        return min(1.0, self.size * p, (beyond + 1) / (DRAWS + 1))


def _correlation(estimates: Sequence[Estimate]) -> Tensor:
    """(k, k), from what each image contributes to the error of each of k estimates.

    One over fewer images shares its images with the first of one over more. One without an error
    hangs together with none.
    """
    longest = max(len(one.contributions) for one in estimates)
    rows = torch.zeros(len(estimates), longest, dtype=torch.float64)
    for row, one in zip(rows, estimates, strict=True):
        row[: len(one.contributions)] = one.contributions
    errors = rows.norm(dim=1)
    scaled = rows / errors.where(errors > 0, 1.0)[:, None]
    return (scaled @ scaled.T).fill_diagonal_(1.0)
