"""What a codec minimises: the error of a digit that went there and back, and how much it says.

A beta-VAE's loss (Higgins et al. 2017) by means: squared error of a pixel, and KL of a latent
number times its weight.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mnist_diffusion.dataset.pixels import to_tensor
from mnist_diffusion.settings.encoders import CodecTraining
from mnist_diffusion.training.epochs import Epochs, Streams

DETAILS = ("error", "divergence")
"""Of each digit: mean squared error of its pixels, mean KL of its latent numbers."""


class Compression:
    """A batch and its loss for any step, from the step's number alone."""

    def __init__(
        self,
        images: Tensor,
        shape: tuple[int, int, int],
        settings: CodecTraining,
        device: torch.device,
    ):
        """`images` (n, 28, 28) uint8, on the CPU; `shape` of a digit's latent numbers."""
        self._images, self._shape, self._device = images, shape, device
        self._weight = settings.divergence_weight
        self._streams = Streams("codec", settings.seed)
        self._epochs = Epochs(len(images), settings.recipe.batch_size, self._streams)

    def __call__(self, network: Callable[..., Any], step: int) -> tuple[Tensor, Tensor]:
        """The loss of a step, and DETAILS of each image: (batch, 2), on the CPU."""
        x, noise = (part.to(self._device) for part in self.batch(step))
        images, posterior = network(x, noise)
        error = (images - x).square().mean(dim=(1, 2, 3))
        divergence = posterior.divergence().mean(dim=(1, 2, 3))
        details = torch.stack([error, divergence], dim=1).detach().cpu()
        return error.mean() + self._weight * divergence.mean(), details

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Images (batch, 1, 28, 28) in [-1, 1], and the noise of their draws (batch, *shape)."""
        chosen = self._epochs(step)
        shape = (len(chosen), *self._shape)
        noise = torch.randn(shape, generator=self._streams("noise", step))
        return to_tensor(self._images[chosen]), noise
