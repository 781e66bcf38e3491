"""Real digits of which a half is known, the other being drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mnist_diffusion.dataset.pixels import to_tensor
from mnist_diffusion.dataset.splits import load_split
from mnist_diffusion.diffusion.guidance import Denoiser
from mnist_diffusion.diffusion.inpainting import inpainted
from mnist_diffusion.runtime.seeds import generator

SIDE, HALF = 28, 14
DRAWN = {
    "left": (slice(None), slice(HALF)),
    "right": (slice(None), slice(HALF, None)),
    "upper": (slice(HALF), slice(None)),
    "lower": (slice(HALF, None), slice(None)),
}
"""The half that is drawn, as rows and columns."""


@dataclass(frozen=True)
class Known:
    """Test digits by the images that they are halves of."""

    digits: Sequence[Tensor]
    """Of each label, (m, 1, 28, 28) in [-1, 1]."""
    where: Tensor
    """(28, 28) bool: the half that is known."""

    def of(self, indices: Sequence[int]) -> Tensor:
        """For image k a digit k mod 10, (n, 1, 28, 28), another one as long as there are any."""
        chosen = [self.digits[k % 10][k // 10 % len(self.digits[k % 10])] for k in indices]
        return torch.stack(chosen)

    def put_in(self, denoiser: Denoiser, indices: Sequence[int], noise: Tensor) -> Denoiser:
        """A denoiser of images of these indices that start as `noise`, (n, 1, 28, 28)."""
        known = self.of(indices).to(noise)
        return inpainted(denoiser, known, self.where.to(noise.device), noise)


def load_known(drawn: str) -> Known:
    """The test digits in a random order, for the first are cleaner than the rest."""
    images, labels = load_split("test")
    order = torch.randperm(len(labels), generator=generator(0, "sample/known")).numpy()
    pixels, digits = to_tensor(images[order]), torch.from_numpy(labels[order])
    return Known([pixels[digits == digit] for digit in range(10)], known_half(drawn))


def known_half(drawn: str) -> Tensor:
    """(28, 28) bool: all but the half that is drawn."""
    where = torch.ones(SIDE, SIDE, dtype=torch.bool)
    where[DRAWN[drawn]] = False
    return where
