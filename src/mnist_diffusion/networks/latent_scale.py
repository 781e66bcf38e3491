"""The scale that makes latent numbers like pixels.

A denoiser expects numbers of mean 0 and variance about 1. Latent diffusion models divide by one
deviation, measured on the first batch (Rombach et al. 2022); here each channel has its own mean and
deviation, of all training digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mnist_diffusion.files.jsonfile import read_json, write_json
from mnist_diffusion.runtime.errors import UserError


@dataclass(frozen=True)
class Scale:
    """A mean and a deviation for each channel of latent numbers."""

    mean: list[float]
    deviation: list[float]

    @classmethod
    def of(cls, means: Tensor, deviations: Tensor) -> Scale:
        """Of posteriors (n, c, h, w): the moments of draws from them, exactly and not by drawing.

        The variance of a draw is that of the means and the mean of the variances.
        """
        variance = means.double().var(dim=(0, 2, 3), correction=0)
        variance += deviations.double().square().mean(dim=(0, 2, 3))
        mean = means.double().mean(dim=(0, 2, 3))
        return cls(mean.tolist(), variance.sqrt().tolist())

    def scaled(self, latents: Tensor) -> Tensor:
        """Latent numbers (n, c, h, w) → of mean 0 and variance 1 in each channel."""
        return (latents - self._column(self.mean, latents)) / self._column(self.deviation, latents)

    def unscaled(self, values: Tensor) -> Tensor:
        """The inverse of `scaled`, but for rounding."""
        return values * self._column(self.deviation, values) + self._column(self.mean, values)

    def save(self, path: Path) -> None:
        write_json(path, {"mean": self.mean, "deviation": self.deviation})

    @classmethod
    def load(cls, path: Path) -> Scale:
        """Read it; UserError if it is none."""
        content = read_json(path)
        try:
            scale = cls(content["mean"], content["deviation"])
            if not all(value > 0 for value in scale.deviation):
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise UserError(f"{path}: no scale; delete it and run `dvc repro`") from None
        return scale

    def _column(self, numbers: list[float], like: Tensor) -> Tensor:
        return torch.tensor(numbers, dtype=like.dtype, device=like.device).view(1, -1, 1, 1)
