"""DPM-Solver++, multistep (Lu et al. 2022, arXiv 2211.01095)."""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from mnist_diffusion.diffusion.guidance import Denoiser
from mnist_diffusion.diffusion.samplers.exponential import exponential_step
from mnist_diffusion.diffusion.samplers.protocol import Noise
from mnist_diffusion.diffusion.schedules import Level

Past = Sequence[tuple[Tensor, Tensor]]
"""(x0, half-log-SNR) of the steps so far, the newest first."""


def dpm_solver(
    denoise: Denoiser,
    x: Tensor,
    levels: Sequence[Level],
    noise: Noise,
    eta: float = 0.0,
    *,
    order: int,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Solve the ODE with x0 as a polynomial in half-log-SNR through its last `order` values.

    The first steps have less history, and a lower order. The last is of order 1: at sigma = 0 it
    returns the predicted x0 exactly, and log-SNR, which would be infinite there, is not evaluated.
    """
    past: deque[tuple[Tensor, Tensor]] = deque(maxlen=order)
    for here, there in pairwise(levels):
        x0 = denoise(x, here)
        if there.sigma == 0:
            yield x0, x0
            return
        past.appendleft((x0, here.half_log_snr))
        x = ORDERS[len(past)](x, past, here, there)
        yield x, x0


def _first(x: Tensor, past: Past, here: Level, there: Level) -> Tensor:
    """DDIM in other words."""
    return exponential_step(x, past[0][0], here, there)


def _second(x: Tensor, past: Past, here: Level, there: Level) -> Tensor:
    """The midpoint form (Lu et al. 2022, algorithm 2)."""
    (x0, now), (x0_before, before) = past
    h = there.half_log_snr - now
    slope = (x0 - x0_before) / ((now - before) / h).to(x)
    return exponential_step(x, x0 + slope / 2, here, there)


def _third(x: Tensor, past: Past, here: Level, there: Level) -> Tensor:
    """The parabola through the last three x0, integrated exactly; the paper stops at order 2.

    The authors' multistep code and its copies give the curve half of this weight, and converge at
    order 2 only.
    """
    (x0, now), (x0_1, before), (x0_2, long_before) = past
    h = there.half_log_snr - now
    r0, r1 = (now - before) / h, (before - long_before) / h
    slope_0, slope_1 = (x0 - x0_1) / r0.to(x), (x0_1 - x0_2) / r1.to(x)
    # r1 is infinite after a level without signal: then there is no curvature, only a slope.
    curve = (slope_0 - slope_1) / (r0 + r1).to(x)
    slope = slope_0 + r0.to(x) * curve
    slope_factor = 1 + torch.expm1(-h) / h
    curve_factor = 1 - 2 * (torch.expm1(-h) + h) / h**2
    change = slope_factor.to(x) * slope + curve_factor.to(x) * curve
    return exponential_step(x, x0, here, there) + there.alpha.to(x) * change


ORDERS = {1: _first, 2: _second, 3: _third}
