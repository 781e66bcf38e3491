"""Multistep consistency sampling: for denoisers that see where a path of noise ends."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from torch import Tensor

from mnist_diffusion.diffusion.forward import add_noise
from mnist_diffusion.diffusion.guidance import Denoiser
from mnist_diffusion.diffusion.samplers.protocol import Noise
from mnist_diffusion.diffusion.schedules import Level


def consistency(
    denoise: Denoiser, x: Tensor, levels: Sequence[Level], noise: Noise, eta: float = 1.0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Jump to the clean image, and back into fresh noise of the next level (Song et al. 2023).

    Algorithm 1 of arXiv 2303.01469. What was wrong of a jump is drowned and seen again; an ordinary
    denoiser, which puts out a mean, would be shown means in noise.
    """
    for here, there in pairwise(levels):
        x0 = denoise(x, here)
        x = add_noise(x0, noise(), there) if there.sigma > 0 else x0
        yield x, x0
