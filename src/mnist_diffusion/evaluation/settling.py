"""When coarse and fine structure of an image settles: by frequencies, image by image. No torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.float64]
ALIKE = 0.5
"""The correlation with the end from which on a band is settled."""


def settled(frames: Frames, last: Frames, low: float, high: float) -> Frames:
    """The share of the steps up to which an image's band is not yet like the end's; (k,).

    frames: (steps, k, 28, 28), what is seen at each step; last: (k, 28, 28), what became of them.
    The band is above `low` and up to `high` cycles an image.
    """
    path, end = _band(frames, low, high), _band(last[None], low, high)
    below = (path * end).sum(axis=2) < ALIKE
    steps = len(frames)
    unsettled = np.where(below.any(axis=0), steps - below[::-1].argmax(axis=0), 0)
    return unsettled / steps


def _band(frames: Frames, low: float, high: float) -> Frames:
    """What lies in a band, as vectors of unit length: (steps, k, 784)."""
    size = frames.shape[-1]
    cycles = np.hypot(*np.meshgrid(*[np.fft.fftfreq(size, 1 / size)] * 2))
    kept = np.fft.fft2(frames) * ((cycles > low) & (cycles <= high))
    flat = np.fft.ifft2(kept).real.reshape(*frames.shape[:2], -1)
    return flat / np.maximum(np.linalg.norm(flat, axis=2, keepdims=True), 1e-12)
