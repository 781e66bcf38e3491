"""Holding the predicted x0 within the range that pixels have; applied after guidance."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mnist_diffusion.diffusion.guidance import Denoiser
from mnist_diffusion.diffusion.schedules import Level

Bound = Callable[[Tensor, float], Tensor]
"""(x0 of shape (n, c, h, w), quantile) → x0 of the same shape."""


def unbounded(x0: Tensor, quantile: float) -> Tensor:
    """As it is."""
    return x0


def clip(x0: Tensor, quantile: float) -> Tensor:
    """Cut at -1 and 1 (Ho et al. 2020, in their code)."""
    return x0.clamp(-1, 1)


def dynamic(x0: Tensor, quantile: float) -> Tensor:
    """Cut at the image's own quantile of |x0| where that exceeds 1, and scale back to [-1, 1].

    Dynamic thresholding (Saharia et al. 2022, section 2.3).
    """
    sizes = x0.flatten(1).abs()
    limit = torch.quantile(sizes, quantile, dim=1).clamp(min=1).view(-1, 1, 1, 1)
    return x0.clamp(-limit, limit) / limit


X0_BOUNDS: dict[str, Bound] = {"none": unbounded, "clip": clip, "dynamic": dynamic}


def bounded(denoise: Denoiser, bound: str, quantile: float) -> Denoiser:
    """The denoiser with its x0 held by one of X0_BOUNDS."""
    hold = X0_BOUNDS[bound]

    def denoise_within(x: Tensor, at: Level) -> Tensor:
        return hold(denoise(x, at), quantile)

    return denoise_within
