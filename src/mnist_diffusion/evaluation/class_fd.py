"""The Fréchet distance within classes, which sees whether the digit asked for was drawn."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mnist_diffusion.evaluation.estimates import Estimate
from mnist_diffusion.evaluation.frechet import FEWEST, ReferenceStatistics, fd_infinity

FEWEST_OF_A_CLASS = 2 * FEWEST
"""Half of a class has to have a covariance."""


def per_class(
    features: Tensor, labels: Tensor, classes: Mapping[str, ReferenceStatistics], seed: int
) -> dict[str, Estimate | None]:
    """FD∞ of each digit's images to the real ones of that digit, over its own tr C.

    Of features (n, d) by labels (n,), with influences of those images alone; None where too few.
    """
    found: dict[str, Estimate | None] = {}
    for digit, statistics in classes.items():
        chosen = labels == int(digit)
        enough = int(chosen.sum()) >= FEWEST_OF_A_CLASS
        found[digit] = (
            fd_infinity(features[chosen], labels[chosen], statistics, seed) if enough else None
        )
    return found


def class_fd(labels: Tensor, found: Mapping[str, Estimate | None]) -> Estimate | None:
    """The mean over digits of `per_class`; None where a digit has too few images.

    The intra-class distance of Miyato & Koyama (2018, cGANs with projection discriminator), made
    relative and freed of its bias. The pooled distance is mostly one between digits, and blind to
    which digit was asked for.
    """
    n = len(labels)
    influences = torch.zeros(n, dtype=torch.float64)
    total = 0.0
    for digit, one in found.items():
        if one is None:
            return None
        chosen = labels == int(digit)
        total += one.value
        influences[chosen] = one.influences * (n / len(one.influences) / len(found))
    return Estimate(total / len(found), influences, labels)
