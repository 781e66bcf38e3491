"""DPM-Solver++(2M) (Lu et al. 2022)."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from mnist_diffusion.diffusion.guidance import Denoiser
from mnist_diffusion.diffusion.samplers.protocol import Noise
from mnist_diffusion.diffusion.schedules import Level


def dpm_solver(
    denoise: Denoiser, x: Tensor, levels: Sequence[Level], noise: Noise, eta: float = 0.0
) -> Iterator[tuple[Tensor, Tensor]]:
    """The second-order multistep solver in its midpoint form (Lu et al. 2022, algorithm 2).

    The first step has no history and is of order 1. So is the last: at sigma = 0 it returns the
    predicted x0 exactly, and log-SNR, which would be infinite there, is never evaluated.
    """
    last: tuple[Tensor, Tensor] | None = None
    for here, there in pairwise(levels):
        x0 = denoise(x, here)
        if there.sigma == 0:
            yield x0, x0
            return
        step = there.log_snr - here.log_snr
        data = x0
        if last is not None:
            last_x0, last_log_snr = last
            ratio = (here.log_snr - last_log_snr) / step
            data = x0 + ((x0 - last_x0) / (2 * ratio).to(x))
        shrink = (there.sigma / here.sigma).to(x)
        x = shrink * x - (there.alpha * torch.expm1(-step)).to(x) * data
        last = (x0, here.log_snr)
        yield x, x0
