"""Ancestral sampling (Ho et al. 2020, algorithm 2)."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from torch import Tensor

from mnist_diffusion.diffusion.forward import posterior_mean, posterior_std, step_beta
from mnist_diffusion.diffusion.guidance import Denoiser
from mnist_diffusion.diffusion.samplers.protocol import Noise
from mnist_diffusion.diffusion.schedules import Level


def ddpm(
    denoise: Denoiser,
    x: Tensor,
    levels: Sequence[Level],
    noise: Noise,
    eta: float = 1.0,
    *,
    large: bool = False,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Draw from the posterior q(x_s | x_t, x0) at each step (Ho et al. 2020, eq. 6 and 7).

    The variance is the posterior's ("fixed small"), or beta ("fixed large", the source's choice),
    both those of the *respaced* chain, so that any list of levels is a proper diffusion. The last
    step, into the clean image, adds none.
    """
    for here, there in pairwise(levels):
        x0 = denoise(x, here)
        x = posterior_mean(x0, x, here, there)
        if there.sigma > 0:
            std = step_beta(here, there).sqrt() if large else posterior_std(here, there)
            x = x + (eta * std).to(x) * noise()
        yield x, x0
