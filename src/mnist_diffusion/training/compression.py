"""What a codec minimises: the error of a digit that went there and back, and how much it says.

A beta-VAE's loss (Higgins et al. 2017) by means: squared error of a pixel, and KL of a latent
number times its weight. At a share of the steps the draws are shrunk before they are decoded, and
so are the digits that they are held against: latents that may be scaled like images have less in
their high frequencies, which a denoiser learns last (Skorokhodov et al. 2025, arXiv 2502.14831;
Kouzelis et al. 2025, arXiv 2502.09509).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mnist_diffusion.dataset.pixels import to_tensor
from mnist_diffusion.networks.codecs import shrunk
from mnist_diffusion.settings.encoders import Codec, CodecTraining
from mnist_diffusion.training.epochs import Epochs, Streams

DETAILS = ("error", "divergence")
"""Of each digit: mean squared error of its pixels, mean KL of its latent numbers."""
SMALLEST = 4
"""Side that latents are shrunk to at most."""


class Compression:
    """A batch and its loss for any step, from the step's number alone."""

    def __init__(
        self,
        images: Tensor,
        codec: Codec,
        settings: CodecTraining,
        device: torch.device,
    ):
        """`images` (n, 28, 28) uint8, on the CPU."""
        self._images, self._codec, self._device = images, codec, device
        self._weight = settings.divergence_weight
        self._streams = Streams("codec", settings.seed)
        self._epochs = Epochs(len(images), settings.recipe.batch_size, self._streams)

    def __call__(self, network: Callable[..., Any], step: int) -> tuple[Tensor, Tensor]:
        """The loss of a step, and DETAILS of each image: (batch, 2), on the CPU."""
        x, noise = (part.to(self._device) for part in self.batch(step))
        side = self.side(step)
        images, posterior = network(x, noise, side)
        error = (images - shrunk(x, images.shape[-1])).square().mean(dim=(1, 2, 3))
        divergence = posterior.divergence().mean(dim=(1, 2, 3))
        details = torch.stack([error, divergence], dim=1).detach().cpu()
        return error.mean() + self._weight * divergence.mean(), details

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Images (batch, 1, 28, 28) in [-1, 1], and the noise of their draws (batch, *shape)."""
        chosen = self._epochs(step)
        shape = (len(chosen), self._codec.latent, self._codec.side, self._codec.side)
        noise = torch.randn(shape, generator=self._streams("noise", step))
        return to_tensor(self._images[chosen]), noise

    def side(self, step: int) -> int:
        """That of the draws when they are decoded: their own, or at some steps a smaller one."""
        randomness, own = self._streams("side", step), self._codec.side
        if float(torch.rand((), generator=randomness)) >= self._codec.shrunk:
            return own
        return int(torch.randint(SMALLEST, own, (), generator=randomness))
