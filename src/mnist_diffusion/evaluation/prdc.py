"""Precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020).

A set of features is taken for the union of balls around its points, each as large as the distance
to its fifth nearest neighbour in the same set.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from mnist_diffusion.runtime.errors import UserError

NEIGHBOURS = 5


@dataclass(frozen=True)
class Decisions:
    """What was found for each image; the scores are the means."""

    precision: Tensor
    """(n,) bool, drawn: lies in the ball of any real image."""
    recall: Tensor
    """(m,) bool, real: lies in the ball of any drawn image."""
    density: Tensor
    """(n,) float64, drawn: in how many real balls it lies, over the number of neighbours."""
    coverage: Tensor
    """(m,) bool, real: has any drawn image in its ball."""

    def scores(self) -> dict[str, float]:
        return {name: float(values.double().mean()) for name, values in vars(self).items()}


class Balls:
    """The balls around features (n, d) of drawn images and (m, d) of real ones, on the CPU."""

    def __init__(self, real: Tensor, drawn: Tensor, neighbours: int = NEIGHBOURS):
        real, drawn = real.double(), drawn.double()
        distances = torch.cdist(drawn, real)
        radii, self._larger, self._nearest = _radii(drawn, neighbours)
        self._distances, self._neighbours = distances, neighbours
        self._in_real = distances < _radii(real, neighbours)[0]
        self._in_drawn = distances < radii[:, None]

    def decisions(self) -> Decisions:
        """What was found for each image."""
        return Decisions(
            precision=self._in_real.any(dim=1),
            recall=self._in_drawn.any(dim=0),
            density=self._in_real.sum(dim=1).double() / self._neighbours,
            coverage=self._in_real.any(dim=0),
        )

    def influences(self) -> dict[str, Tensor]:
        """How much each drawn image moves recall and coverage, times n: (n,) float64 each.

        The jackknife's: n - 1 times what is lost without the image (Efron 1982). Its
        ball goes, and the balls of those it was a near neighbour of grow to their next one. Errs on
        the side of caution: up to 1.7 times the spread of recall where most is recalled.
        """
        in_larger = self._distances < self._larger[:, None]
        grown = torch.zeros(self._distances.shape).index_add_(
            0,
            self._nearest.flatten(),
            in_larger.float().repeat_interleave(self._neighbours, dim=0),
        )
        inside, real = self._in_drawn, self._in_real
        return {
            "recall": _lost(inside, (inside.sum(dim=0) > inside.long()) | (grown > 0)),
            "coverage": _lost(real, real.sum(dim=0) > real.long()),
        }


def _lost(covers: Tensor, without: Tensor) -> Tensor:
    """From which drawn image covers which real one, and which stays covered without which."""
    whole = covers.any(dim=0).double().mean()
    values = (len(covers) - 1) * (whole - without.double().mean(dim=1))
    return values - values.mean()


def _radii(features: Tensor, neighbours: int) -> tuple[Tensor, Tensor, Tensor]:
    """Distances (n,) to the k-th neighbour and to the next, and who the k are: (n, k).

    Each point itself is not counted.
    """
    if len(features) <= neighbours + 1:
        raise UserError(
            f"precision: {len(features)} images have no {neighbours + 1} neighbours; draw more"
        )
    distances = torch.cdist(features, features).fill_diagonal_(torch.inf)
    nearest = distances.topk(neighbours + 1, dim=1, largest=False, sorted=True)
    return nearest.values[:, -2], nearest.values[:, -1], nearest.indices[:, :-1]
