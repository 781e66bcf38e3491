"""Two sample sets against each other, image by image: image k of both began as the same noise."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from scipy.stats import binomtest, norm
from torch import Tensor

from mnist_diffusion.evaluation.bootstrap import counts, normal_interval
from mnist_diffusion.evaluation.features import JudgedSet
from mnist_diffusion.evaluation.frechet import ReferenceStatistics, relative_fd

NETWORKS = {"relative_fd": "classifier", "second_relative_fd": "autoencoder"}
"""The distances compared, by the network whose features they are of."""
Verdict = Literal["better", "worse", "not distinguishable"]


@dataclass(frozen=True)
class Drawing:
    """How a cell came about, as far as it decides what it may be compared with."""

    labels: Tensor
    """(n,) the digits asked for, -1 where none were."""
    guidance: float
    seed: int
    """Of the training of its run."""


@dataclass(frozen=True)
class Pair:
    """Two cells, of which image k began as the same noise and was asked for the same digit."""

    cell: str
    baseline: str
    n: int
    """The first n images of both: as many as the smaller has."""


@dataclass(frozen=True)
class Difference:
    """One set's score less the other's."""

    value: float
    interval: tuple[float, float]
    p: float
    """Two-sided, of a difference this large if there were none."""


def pairs(
    cells: Iterable[str], baselines: Sequence[str], drawings: Mapping[str, Drawing]
) -> list[Pair]:
    """Each cell with its baselines, those that were asked for the same digits; two meet once.

    Of these only those of its own guidance, if there are any, and of these only those of its own
    training seed, if there are any.
    """
    found: list[Pair] = []
    for cell in cells:
        for baseline in _nearest(cell, baselines, drawings):
            n = min(len(drawings[cell].labels), len(drawings[baseline].labels))
            if cell != baseline and Pair(baseline, cell, n) not in found:
                found.append(Pair(cell, baseline, n))
    return found


def unmatched(
    cells: Iterable[str], baselines: Sequence[str], drawings: Mapping[str, Drawing]
) -> list[str]:
    """The cells that no baseline of their table may be held against."""
    return [cell for cell in cells if not _nearest(cell, baselines, drawings)]


def _nearest(cell: str, baselines: Sequence[str], drawings: Mapping[str, Drawing]) -> list[str]:
    here = drawings[cell]
    near = [name for name in baselines if _same_digits(here.labels, drawings[name].labels)]
    near = [name for name in near if drawings[name].guidance == here.guidance] or near
    return [name for name in near if drawings[name].seed == here.seed] or near


def _same_digits(one: Tensor, other: Tensor) -> bool:
    n = min(len(one), len(other))
    return torch.equal(one[:n], other[:n])


def difference(value: float, resampled: Tensor, level: float) -> Difference:
    """A difference whose standard error is that of its paired bootstrap resamples (B,).

    Paired, much of what both sets share cancels: their noise, and most of FD's bias at this n.
    """
    error = float(resampled.std())
    p = float(2 * norm.sf(abs(value) / error)) if error > 0 else float(value == 0)
    return Difference(value, normal_interval(value, resampled, level), p)


def accuracy_difference(right: Tensor, baseline: Tensor, level: float) -> Difference:
    """The difference of two accuracies, from which images (n,) were classified right in each set.

    p: exact McNemar test. Interval: Wald's with half an image added to each of the four ways in
    which a pair can come out (Agresti & Min 2005), which holds where few pairs differ or none.
    """
    gained, lost = int((right & ~baseline).sum()), int((~right & baseline).sum())
    p = float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    n = len(right) + 2
    centre = (gained - lost) / n
    error = ((gained + lost + 1) / n - centre**2) ** 0.5 / n**0.5
    reach = float(norm.ppf((1 + level) / 2)) * error
    return Difference((gained - lost) / len(right), (centre - reach, centre + reach), p)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted so that any false verdict among them is as rare as in one (Holm 1979)."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def verdict(value: float, p: float, level: float, lower_is_better: bool) -> Verdict:
    """Of a difference with this adjusted p."""
    if p > 1 - level or value == 0:
        return "not distinguishable"
    return "better" if (value < 0) == lower_is_better else "worse"


class PairedComparisons:
    """Cells that can be compared, each resampled alike and only once."""

    def __init__(
        self,
        judged: Mapping[str, JudgedSet],
        references: Mapping[str, ReferenceStatistics],
        *,
        resamples: int,
        level: float,
        seed: int,
    ):
        """`references` are by network."""
        self._judged, self._references = judged, references
        self._resamples, self._level, self._seed = resamples, level, seed
        self._distances: dict[tuple[str, str, int], tuple[float, Tensor]] = {}

    def differences(self, pair: Pair) -> dict[str, Difference]:
        """By metric: the cell less its baseline. No accuracy where no digits were asked for."""
        found = {metric: self._nearer(pair, network) for metric, network in NETWORKS.items()}
        cell, baseline = self._judged[pair.cell], self._judged[pair.baseline]
        if cell.asked:
            right, wanted = cell.right[: pair.n], baseline.right[: pair.n]
            found["accuracy"] = accuracy_difference(right, wanted, self._level)
        return found

    def _nearer(self, pair: Pair, network: str) -> Difference:
        value, resampled = self._relative_fd(network, pair.cell, pair.n)
        other, others = self._relative_fd(network, pair.baseline, pair.n)
        return difference(value - other, resampled - others, self._level)

    def _relative_fd(self, network: str, name: str, n: int) -> tuple[float, Tensor]:
        """Of the first n images: as it is, and of each resample."""
        if (network, name, n) not in self._distances:
            features = self._judged[name].features_of(network)[:n]
            found = relative_fd(features, self._references[network])
            resampled = found.resampled(counts(n, self._resamples, self._seed))
            self._distances[network, name, n] = found.value, resampled
        return self._distances[network, name, n]
