"""Inpainting by a denoiser that was not trained for it: what is known is put in at every level."""

from __future__ import annotations

import torch
from torch import Tensor

from mnist_diffusion.diffusion.forward import add_noise
from mnist_diffusion.diffusion.guidance import Denoiser
from mnist_diffusion.diffusion.schedules import Level


def inpainted(denoiser: Denoiser, known: Tensor, where: Tensor, noise: Tensor) -> Denoiser:
    """Looks at `known` in noise, and predicts it, `where` it is known; the rest is the denoiser's.

    As RePaint does it, without going back and forth (Lugmayr et al. 2022, arXiv 2201.09865).
    `known` and `noise` are (n, c, h, w), `where` is bool and broadcasts to them. With the noise
    that x starts from, a sampler that adds none itself moves what is known along known's own path.
    """

    def denoise(x: Tensor, at: Level) -> Tensor:
        x0 = denoiser(torch.where(where, add_noise(known, noise, at), x), at)
        return torch.where(where, known, x0)

    return denoise
