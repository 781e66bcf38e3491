"""Classifier-free guidance. It wraps denoisers; samplers never learn of it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mnist_diffusion.diffusion.schedules import Level

Denoiser = Callable[[Tensor, Level], Tensor]
"""(x_t of shape (n, c, h, w), its noise level) → the clean image x0 it is thought to come from."""


def guided(conditional: Denoiser, unconditional: Denoiser, scale: float) -> Denoiser:
    """eps = eps_uncond + s · (eps_cond - eps_uncond) (Ho & Salimans 2022, the source's form).

    At a given x_t, eps is affine in x0, so the same combination of x0 is the same guidance.
    s = 0 and s = 1 call one denoiser, once, and are exact.
    """
    if scale == 0:
        return unconditional
    if scale == 1:
        return conditional
    return lambda x, at: torch.lerp(unconditional(x, at), conditional(x, at), scale)


def guidance_evaluations(scale: float) -> int:
    """Network evaluations that one call of a guided denoiser costs."""
    return 1 if scale in (0, 1) else 2


def clipped(denoise: Denoiser) -> Denoiser:
    """Hold the predicted x0 within the pixel range [-1, 1]; applied after guidance."""
    return lambda x, at: denoise(x, at).clamp(-1, 1)
