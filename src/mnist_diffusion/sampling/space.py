"""The space that a denoiser draws in, and the way from there to pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from mnist_diffusion.networks.codec_files import load_codec
from mnist_diffusion.networks.codecs import Codec
from mnist_diffusion.networks.latent_scale import Scale
from mnist_diffusion.settings.training import PIXELS


class Space(Protocol):
    """Where states of a sampler live."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one state."""

    @property
    def networks(self) -> dict[str, nn.Module]:
        """What decodes, by a word for it."""

    def decoded(self, x: Tensor) -> Tensor:
        """States (n, *shape) as images (n, 1, 28, 28)."""


@dataclass(frozen=True)
class PixelSpace:
    """Images themselves."""

    shape: tuple[int, int, int] = (1, 28, 28)

    @property
    def networks(self) -> dict[str, nn.Module]:
        return {}

    def decoded(self, x: Tensor) -> Tensor:
        return x


@dataclass(frozen=True)
class LatentSpace:
    """Latent numbers on a scale of mean 0 and variance 1."""

    codec: Codec
    scale: Scale

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.codec.shape

    @property
    def networks(self) -> dict[str, nn.Module]:
        return {"codec": self.codec}

    def decoded(self, x: Tensor) -> Tensor:
        return self.codec.decode(self.scale.unscaled(x))


def load_space(folder: Path, space: str, device: torch.device) -> Space:
    """That of a run in this folder, by its setting `space`; a codec lies beside its weights."""
    if space == PIXELS:
        return PixelSpace()
    codec, scale = load_codec(folder)
    return LatentSpace(codec.to(device), scale)
