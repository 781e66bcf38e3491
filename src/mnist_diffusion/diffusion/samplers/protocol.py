"""The signature that all samplers share."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from torch import Tensor

from mnist_diffusion.diffusion.guidance import Denoiser
from mnist_diffusion.diffusion.schedules import Level

Noise = Callable[[], Tensor]
"""Fresh standard normal noise of the images' shape, at each call."""


class Sampler(Protocol):
    """Walks `levels` from noisy to clean."""

    def __call__(
        self, denoise: Denoiser, x: Tensor, levels: Sequence[Level], noise: Noise, eta: float
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (x, x0) for each of the len(levels) - 1 steps; x has the shape of the images.

        `eta` is the share of the ancestral noise that is added back: 1 for DDPM, 0 for an ODE.
        """
        ...
