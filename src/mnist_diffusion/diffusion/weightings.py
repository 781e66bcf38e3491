"""How much each noise level counts in the loss, as a factor on the mean squared error of epsilon.

Kept apart from predictions: how the output is read must not change what is minimised.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from mnist_diffusion.diffusion.schedules import Level


def epsilon(at: Level) -> Tensor:
    """The source's loss, L_simple: plain MSE on the predicted noise (Ho et al. 2020, eq. 14)."""
    return torch.ones_like(at.alpha)


def velocity(at: Level) -> Tensor:
    """Plain MSE on v: since eps-MSE = alpha² · v-MSE, the factor is 1/alpha² = 1 + 1/SNR."""
    return at.alpha**-2


WEIGHTINGS: dict[str, Callable[[Level], Tensor]] = {"epsilon": epsilon, "v": velocity}
