"""Which cells are compared, and of which images."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mnist_diffusion.evaluation.features import Judgement


@dataclass(frozen=True)
class Judged:
    """A cell in the eyes of both networks, and how it came about."""

    judgement: Judgement
    second: Tensor
    """(n, 64) features of the second network."""
    labels: Tensor
    """(n,) the digits asked for, -1 where none were."""
    guidance: float
    seed: int
    """Of the training of its run."""

    def features(self, network: str) -> Tensor:
        """(n, d) of "classifier" or "autoencoder"."""
        return self.judgement.features if network == "classifier" else self.second

    @property
    def right(self) -> Tensor:
        """(n,) bool: the judge sees the digit asked for."""
        return self.judgement.probabilities.argmax(dim=1) == self.labels

    @property
    def asked(self) -> bool:
        return bool((self.labels >= 0).all())


@dataclass(frozen=True)
class Pair:
    """Two cells, of which image k began as the same noise and was asked for the same digit."""

    cell: str
    baseline: str
    n: int
    """The first n images of both: as many as the smaller has."""


def pairs(
    cells: Iterable[str], baselines: Sequence[str], judged: Mapping[str, Judged]
) -> list[Pair]:
    """Each cell with its baselines, those that were asked for the same digits; two meet once.

    Of these only those of its own guidance, if there are any, and of these only those of its own
    training seed, if there are any.
    """
    found: list[Pair] = []
    for cell in cells:
        for baseline in _nearest(cell, baselines, judged):
            n = min(len(judged[cell].labels), len(judged[baseline].labels))
            if cell != baseline and Pair(baseline, cell, n) not in found:
                found.append(Pair(cell, baseline, n))
    return found


def unmatched(
    cells: Iterable[str], baselines: Sequence[str], judged: Mapping[str, Judged]
) -> list[str]:
    """The cells that no baseline of their table may be held against."""
    return [cell for cell in cells if not _nearest(cell, baselines, judged)]


def _nearest(cell: str, baselines: Sequence[str], judged: Mapping[str, Judged]) -> list[str]:
    here = judged[cell]
    near = [name for name in baselines if _same_digits(here.labels, judged[name].labels)]
    near = [name for name in near if judged[name].guidance == here.guidance] or near
    return [name for name in near if judged[name].seed == here.seed] or near


def _same_digits(one: Tensor, other: Tensor) -> bool:
    n = min(len(one), len(other))
    return torch.equal(one[:n], other[:n])
