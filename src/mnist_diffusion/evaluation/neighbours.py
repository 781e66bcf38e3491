"""Precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020).

A set of features is taken for the union of balls around its points, each as large as the distance
to its fifth nearest neighbour in the same set.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from mnist_diffusion.errors import UserError

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
    in_real = distances < _radii(real, neighbours)
    in_drawn = distances < _radii(drawn, neighbours)[:, None]
    return Decisions(
        precision=in_real.any(dim=1),
        recall=in_drawn.any(dim=0),
        density=in_real.sum(dim=1).double() / neighbours,
        coverage=in_real.any(dim=0),
    )


def _radii(features: Tensor, neighbours: int) -> Tensor:
    """(n,) distances to the k-th neighbour, each point itself not counted."""
    if len(features) <= neighbours:
        raise UserError(
            f"precision: {len(features)} images have no {neighbours} neighbours; draw more"
        )
    return torch.cdist(features, features).kthvalue(neighbours + 1, dim=1).values
