"""What a denoiser is trained on: digits in pixels, or as draws of what a codec says of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Generator, Tensor

from mnist_diffusion.dataset.pixels import to_tensor
from mnist_diffusion.dataset.splits import load_split
from mnist_diffusion.networks.codec_files import load_codec
from mnist_diffusion.networks.latent_scale import Scale


class Examples(Protocol):
    """Training digits by their index."""

    def __len__(self) -> int: ...

    def only(self, chosen: Tensor) -> Examples:
        """Those of these indices, or where this is true."""

    def __call__(self, chosen: Tensor, randomness: Generator) -> Tensor:
        """x0 of these indices (batch,): (batch, c, h, w) float32, of about the size of 1."""


@dataclass(frozen=True)
class PixelExamples:
    """Digits as they are; nothing of them is random."""

    images: Tensor
    """(n, 28, 28) uint8."""

    def __len__(self) -> int:
        return len(self.images)

    def only(self, chosen: Tensor) -> Examples:
        return PixelExamples(self.images[chosen])

    def __call__(self, chosen: Tensor, randomness: Generator) -> Tensor:
        return to_tensor(self.images[chosen])


@dataclass(frozen=True)
class LatentExamples:
    """Digits as a codec has them: at each step another draw, as the decoder has learned from."""

    means: Tensor
    deviations: Tensor
    """Both (n, c, h, w)."""
    scale: Scale

    def __len__(self) -> int:
        return len(self.means)

    def only(self, chosen: Tensor) -> Examples:
        return LatentExamples(self.means[chosen], self.deviations[chosen], self.scale)

    def __call__(self, chosen: Tensor, randomness: Generator) -> Tensor:
        means = self.means[chosen]
        noise = torch.randn(means.shape, generator=randomness)
        return self.scale.scaled(means + self.deviations[chosen] * noise)


def load_examples(folder: Path) -> tuple[Examples, Tensor]:
    """The examples of data/prepared or of data/latents/CODEC, and their labels (n,)."""
    if not (folder / "train-means.npy").is_file():
        images, labels = load_split("train", folder)
        return PixelExamples(torch.from_numpy(images)), torch.from_numpy(labels)
    means, deviations, labels = (
        np.load(folder / f"train-{part}.npy", allow_pickle=False)
        for part in ("means", "deviations", "labels")
    )
    _, scale = load_codec(folder)
    latents = LatentExamples(torch.from_numpy(means), torch.from_numpy(deviations), scale)
    return latents, torch.from_numpy(labels)
