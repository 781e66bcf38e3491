"""Two sample sets against each other, image by image: image k of both began as the same noise."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from scipy.stats import binomtest, norm
from torch import Tensor

from mnist_diffusion.evaluation.class_fd import class_fd, per_class
from mnist_diffusion.evaluation.estimates import Estimate, Interval
from mnist_diffusion.evaluation.features import JudgedSet
from mnist_diffusion.evaluation.frechet import ReferenceStatistics, fd_infinity
from mnist_diffusion.evaluation.metrics import METRICS
from mnist_diffusion.evaluation.quantities import Quantity, verdict
from mnist_diffusion.provenance.schemas.cell_reports import Verdict
from mnist_diffusion.settings.judging import Margins

NETWORKS = {"fd_infinity": "classifier", "second_fd_infinity": "autoencoder"}
"""The pooled distances compared, by the network whose features they are of."""


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
    """One set's score less the other's, its baseline's."""

    estimate: Estimate
    own: Estimate
    baseline: Estimate
    """The two scores."""
    p: float
    """Two-sided, of a difference this large if there were none."""
    around: Callable[[float], Interval]
    """The interval that reaches so many standard errors to either side."""

    @property
    def relative(self) -> Estimate | None:
        """Over the baseline's score, whose luck counts too; None where that is not above 0.

        To first order: of r = one / other the influences are those of one - r other, over other.
        """
        base = self.baseline
        if base.value <= 0:
            return None
        ratio = self.estimate.value / base.value
        moved = self.estimate.less(base.scaled(ratio)).scaled(1 / base.value)
        return replace(moved, value=ratio)

    def ratio(self, reach: float) -> Interval | None:
        """Of the two scores (Fieller 1954): all r of which one - r other may be 0.

        So that it leaves out 1 where `around` leaves out 0. None where the other may be 0 itself.
        """
        own, base = self.own, self.baseline
        shared = (own.error**2 + base.error**2 - self.estimate.error**2) / 2
        square = base.value**2 - (reach * base.error) ** 2
        if base.value <= 0 or square <= 0:
            return None
        middle = base.value * own.value - reach**2 * shared
        rest = own.value**2 - (reach * own.error) ** 2
        half = max(0.0, middle**2 - square * rest) ** 0.5
        return (middle - half) / square, (middle + half) / square


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


def difference(one: Estimate, other: Estimate) -> Difference:
    """Of two scores of which image k began as the same noise.

    Paired, much of what both sets share cancels: their noise, and what bias there is at this n.
    """
    found = one.less(other)
    error = found.error
    p = float(2 * norm.sf(abs(found.value) / error)) if error > 0 else float(found.value == 0)
    return Difference(found, one, other, p, Quantity(found.value, error).around)


def accuracy_difference(right: Tensor, baseline: Tensor, labels: Tensor) -> Difference:
    """The difference of two accuracies, from which images (n,) were classified right in each set.

    p: exact McNemar test. Interval: Wald's with half an image added to each of the four ways in
    which a pair can come out (Agresti & Min 2005), which holds where few pairs differ or none.
    """
    gained, lost = int((right & ~baseline).sum()), int((~right & baseline).sum())
    p = float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    n = len(right) + 2
    centre = (gained - lost) / n
    error = ((gained + lost + 1) / n - centre**2) ** 0.5 / n**0.5
    own, base = Estimate.mean(right, labels), Estimate.mean(baseline, labels)
    return Difference(own.less(base), own, base, p, Quantity(centre, error).around)


def verdict_of(metric: str, found: Difference, reach: float, margins: Margins) -> Verdict:
    """Read off the intervals that reach so far: of the ratio for a distance that has one."""
    if not METRICS[metric].lower_is_better:
        return verdict(found.around(reach), margins.accuracy, lower_is_better=False)
    ratio = found.ratio(reach)
    if ratio is None or ratio[0] <= 0:
        return verdict(found.around(reach), 0.0, lower_is_better=True)
    low, high = map(math.log, ratio)
    return verdict((low, high), math.log(margins.ratio), lower_is_better=True)


class PairedComparisons:
    """Cells that can be compared, each judged but once at each n."""

    def __init__(
        self,
        judged: Mapping[str, JudgedSet],
        references: Mapping[str, ReferenceStatistics],
        classes: Mapping[str, ReferenceStatistics],
        seed: int,
    ):
        """`references` are by network, `classes` by digit; the seed is that of the halves."""
        self._judged, self._references, self._classes = judged, references, classes
        self._seed = seed
        self._scores: dict[tuple[str, int], dict[str, Estimate]] = {}

    def differences(self, pair: Pair) -> dict[str, Difference]:
        """By metric: the cell less its baseline. Of labels only where digits were asked for."""
        mine, theirs = self.scores(pair.cell, pair.n), self.scores(pair.baseline, pair.n)
        found = {metric: difference(mine[metric], theirs[metric]) for metric in mine}
        cell, baseline = self._judged[pair.cell], self._judged[pair.baseline]
        if cell.asked:
            right, wanted = cell.right[: pair.n], baseline.right[: pair.n]
            found["accuracy"] = accuracy_difference(right, wanted, cell.labels[: pair.n])
        return found

    def scores(self, name: str, n: int) -> dict[str, Estimate]:
        """The distances of a cell's first n images, by metric; a class-wise one where asked for."""
        if (name, n) not in self._scores:
            self._scores[name, n] = self._judge(self._judged[name], n)
        return self._scores[name, n]

    def _judge(self, cell: JudgedSet, n: int) -> dict[str, Estimate]:
        labels = cell.labels[:n]
        found = {
            metric: fd_infinity(
                cell.features_of(network)[:n], labels, self._references[network], self._seed
            )
            for metric, network in NETWORKS.items()
        }
        if cell.asked:
            by_digit = per_class(cell.features[:n], labels, self._classes, self._seed)
            mean = class_fd(labels, by_digit)
            found |= {"class_fd": mean} if mean else {}
        return found
