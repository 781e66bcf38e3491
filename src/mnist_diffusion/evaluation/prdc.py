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


def decisions(real: Tensor, drawn: Tensor, neighbours: int = NEIGHBOURS) -> Decisions:
    """Compare features (n, d) of drawn images with (m, d) of real ones, float64 on the CPU."""
    real, drawn = real.double(), drawn.double()
    distances = torch.cdist(drawn, real)
    in_real = distances < _radii(real, neighbours)[0]
    in_drawn = distances < _radii(drawn, neighbours)[0][:, None]
    return Decisions(
        precision=in_real.any(dim=1),
        recall=in_drawn.any(dim=0),
        density=in_real.sum(dim=1).double() / neighbours,
        coverage=in_real.any(dim=0),
    )


def prdc_influences(real: Tensor, drawn: Tensor, neighbours: int = NEIGHBOURS) -> dict[str, Tensor]:
    """How much each drawn image moves recall and coverage, times n: (n,) float64 each.

    The jackknife's: n - 1 times what is lost without the image (Efron 1982, chapter 2). Its ball
    goes, and the balls of those it was a near neighbour of grow to their next one. Errs on the side
    of caution: up to 1.7 times the spread of recall where most is recalled.
    """
    real, drawn = real.double(), drawn.double()
    distances = torch.cdist(drawn, real)
    radii, larger, nearest = _radii(drawn, neighbours)
    in_ball = distances < radii[:, None]
    in_larger = distances < larger[:, None]
    grown = torch.zeros(len(drawn), len(real)).index_add_(
        0, nearest.flatten(), in_larger.float().repeat_interleave(neighbours, dim=0)
    )
    in_real = distances < _radii(real, neighbours)[0]
    return {
        "recall": _lost(in_ball, (in_ball.sum(dim=0) > in_ball.long()) | (grown > 0)),
        "coverage": _lost(in_real, in_real.sum(dim=0) > in_real.long()),
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
