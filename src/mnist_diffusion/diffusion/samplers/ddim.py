"""Denoising diffusion implicit models (Song et al. 2021)."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from torch import Tensor

from mnist_diffusion.diffusion.forward import posterior_std
from mnist_diffusion.diffusion.guidance import Denoiser
from mnist_diffusion.diffusion.predictions import to_epsilon
from mnist_diffusion.diffusion.samplers.protocol import Noise
from mnist_diffusion.diffusion.schedules import Level


def ddim(
    denoise: Denoiser, x: Tensor, levels: Sequence[Level], noise: Noise, eta: float = 0.0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Step along the predicted noise (Song et al. 2021, eq. 12 and 16).

    The noise is that which the (bounded) x0 implies. eta = 0 is deterministic, eta = 1 has the
    variance of ancestral sampling.
    """
    for here, there in pairwise(levels):
        x0 = denoise(x, here)
        spread = eta * posterior_std(here, there)
        direction = (there.sigma**2 - spread**2).clamp(min=0).sqrt()
        x = there.alpha.to(x) * x0 + direction.to(x) * to_epsilon(x0, x, here)
        if spread > 0:
            x = x + spread.to(x) * noise()
        yield x, x0
