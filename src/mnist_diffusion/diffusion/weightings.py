"""How much each noise level counts in the loss, as a factor on the mean squared error of v.

Kept apart from predictions: how the output is read must not change what is minimised. v is the
common currency because its error is finite at every level, and one error is as good as another:
eps-MSE = alpha² · v-MSE = SNR · x0-MSE (Salimans & Ho 2022, section 4).
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from mnist_diffusion.diffusion.schedules import Level, Schedule

Weighting = Callable[[Level], Tensor]


def epsilon(at: Level) -> Tensor:
    """The source's loss, L_simple: plain MSE on the predicted noise (Ho et al. 2020, eq. 14)."""
    return at.alpha**2


def x0(at: Level) -> Tensor:
    """Plain MSE on the clean image: eps-MSE / SNR, v-MSE / (SNR + 1) (Salimans & Ho 2022)."""
    return at.sigma**2


def velocity(at: Level) -> Tensor:
    """Plain MSE on v, which is SNR + 1 times that on x0 (Salimans & Ho 2022)."""
    return torch.ones_like(at.alpha)


def p2(at: Level, *, k: float, gamma: float) -> Tensor:
    """eps-MSE / (k + SNR)^gamma: less weight at low noise (Choi et al. 2022, eq. 8)."""
    return at.alpha**2 / (k + at.snr) ** gamma


def min_snr(at: Level, *, gamma: float) -> Tensor:
    """x0-MSE · min(SNR, gamma): no level counts more than gamma (Hang et al. 2023)."""
    return at.sigma**2 * at.snr.clamp(max=gamma)


WEIGHTINGS: dict[str, Callable[..., Tensor]] = {
    "epsilon": epsilon,
    "x0": x0,
    "v": velocity,
    "p2": p2,
    "min-snr": min_snr,
}


def weighting(
    name: str, schedule: Schedule, *, unit_mean: bool = False, **parameters: float
) -> Weighting:
    """One of WEIGHTINGS with its parameters bound.

    `unit_mean` divides by its mean over all timesteps as a factor on eps-MSE, so that learning rate
    and gradient clipping mean what they mean for L_simple. That is for factors of about 1: the mean
    of v's, 1 + 1/SNR, is all the noisiest timesteps'.
    """
    chosen: Weighting = partial(WEIGHTINGS[name], **parameters)
    if not unit_mean:
        return chosen
    every = schedule.level(torch.arange(schedule.timesteps))
    mean = (chosen(every) / epsilon(every))[every.alpha > 0].mean()
    return lambda at: chosen(at) / mean
