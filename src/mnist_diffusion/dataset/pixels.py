"""Between stored pixels, uint8 0 … 255, and the networks' pixels, float32 -1 … 1."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

HALF_RANGE = 127.5


def to_tensor(images: NDArray[np.uint8] | Tensor) -> Tensor:
    """(n, 28, 28) uint8, an array or a tensor → (n, 1, 28, 28) float32 in [-1, 1], on the CPU."""
    values = np.asarray(images).astype(np.float32)
    return torch.from_numpy(values)[:, None].div_(HALF_RANGE).sub_(1)


def to_uint8(images: Tensor) -> NDArray[np.uint8]:
    """(n, 1, 28, 28) on any device → (n, 28, 28) uint8: clamped to [-1, 1], halves to even.

    The inverse of to_tensor on every uint8. ValueError on NaN, which has no pixel value.
    """
    if images.isnan().any():
        raise ValueError("images contain NaN")
    pixels = images.detach().float().cpu().clamp(-1, 1).add(1).mul(HALF_RANGE).round()
    return pixels.to(torch.uint8).squeeze(1).numpy()
