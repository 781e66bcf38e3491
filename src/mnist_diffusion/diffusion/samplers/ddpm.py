"""Ancestral sampling (Ho et al. 2020, algorithm 2)."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from torch import Tensor

from mnist_diffusion.diffusion.guidance import Denoiser
from mnist_diffusion.diffusion.samplers.protocol import Noise
from mnist_diffusion.diffusion.schedules import Level


def ddpm(
    denoise: Denoiser, x: Tensor, levels: Sequence[Level], noise: Noise, eta: float = 1.0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Draw from the posterior q(x_s | x_t, x0) at each step (Ho et al. 2020, eq. 6 and 7).

    beta is that of the *respaced* chain, so that any list of levels is a proper diffusion; the
    variance is the posterior's ("fixed small"), and the last step, into the clean image, adds none.
    """
    for here, there in pairwise(levels):
        x0 = denoise(x, here)
        beta = 1 - (here.alpha / there.alpha) ** 2
        x0_factor = there.alpha * beta / here.sigma**2
        x_factor = (here.alpha / there.alpha) * there.sigma**2 / here.sigma**2
        x = x0_factor.to(x) * x0 + x_factor.to(x) * x
        if there.sigma > 0:
            x = x + (eta * beta.sqrt() * there.sigma / here.sigma).to(x) * noise()
        yield x, x0
