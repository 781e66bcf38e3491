"""Guidance: away from a worse denoiser. It wraps denoisers; samplers never learn of it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mnist_diffusion.diffusion.schedules import Level

Denoiser = Callable[[Tensor, Level], Tensor]
"""(x_t of shape (n, c, h, w), its noise level) → the clean image x0 it is thought to come from."""


def guided(
    denoiser: Denoiser,
    guide: Denoiser,
    scale: float,
    *,
    interval: tuple[float, float] | None = None,
    rescale: float = 0.0,
) -> Denoiser:
    """eps = eps_guide + s · (eps - eps_guide), away from a guide that knows less.

    Classifier-free guidance where the guide is the same network without a label (Ho & Salimans
    2022; the source's form), autoguidance where it is a less trained one (Karras et al. 2024,
    arXiv 2406.02507). At a given x_t, eps is affine in x0, so the same combination of x0 is
    the same guidance. s = 0 and s = 1 call one denoiser, once, and are exact. `interval` bounds
    sigma / alpha, ends included: beyond it the denoiser is left alone (Kynkäänniemi et al. 2024).
    `rescale` is the phi of `rescaled`.
    """
    if scale == 0:
        return guide
    if scale == 1:
        return denoiser

    def denoise(x: Tensor, at: Level) -> Tensor:
        unguided = denoiser(x, at)
        if interval is not None and not _within(interval, at):
            return unguided
        x0 = torch.lerp(guide(x, at), unguided, scale)
        return rescaled(x0, unguided, rescale) if rescale else x0

    return denoise


def rescaled(guided: Tensor, unguided: Tensor, phi: float) -> Tensor:
    """Bring each image's contrast back to the unguided's, by a share phi of the way.

    Guidance widens the range of x0, which looks over-exposed (Lin et al. 2024, section 3.4). Theirs
    rescales what the network puts out; on x0 the same phi is another strength. An image without
    contrast stays as it is.
    """
    dims = tuple(range(1, guided.ndim))
    contrast = guided.std(dim=dims, keepdim=True)
    ratio = torch.where(contrast > 0, unguided.std(dim=dims, keepdim=True) / contrast, 1.0)
    return guided * torch.lerp(torch.ones_like(ratio), ratio, phi)


def _within(interval: tuple[float, float], at: Level) -> bool:
    low, high = interval
    return bool(low <= at.sigma / at.alpha <= high)
