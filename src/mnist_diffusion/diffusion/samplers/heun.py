"""Heun's method: look ahead, then take the step with the mean of both ends."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from torch import Tensor

from mnist_diffusion.diffusion.guidance import Denoiser
from mnist_diffusion.diffusion.samplers.exponential import exponential_step
from mnist_diffusion.diffusion.samplers.protocol import Noise
from mnist_diffusion.diffusion.schedules import Level


def heun(
    denoise: Denoiser, x: Tensor, levels: Sequence[Level], noise: Noise, eta: float = 0.0
) -> Iterator[tuple[Tensor, Tensor]]:
    """The second-order single-step solver DPM-Solver++(2S) at r = 1.

    Lu et al. (2022, arXiv 2211.01095, algorithm 1). Karras et al. (2022, algorithm 1) average
    the slope over sigma / alpha, a time that is 20,000 at the first step of a cosine schedule
    and infinite at zero terminal SNR. Averaging x0 over half-log-SNR is Heun's idea in a time
    where such steps stay bounded. Every step costs two evaluations, but for the last, which
    returns x0.
    """
    for here, there in pairwise(levels):
        x0 = denoise(x, here)
        if there.sigma == 0:
            yield x0, x0
            return
        ahead = exponential_step(x, x0, here, there)
        x0 = (x0 + denoise(ahead, there)) / 2
        x = exponential_step(x, x0, here, there)
        yield x, x0
