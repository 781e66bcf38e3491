"""Ink: how much of it, and how much of it at full strength."""

import numpy as np
from numpy.typing import NDArray

STROKE = 128
FULL = 250


def pixel_statistics(images: NDArray[np.uint8]) -> dict[str, float]:
    """Of images (n, 28, 28): the share of stroke pixels that are saturated, and ink per image.

    A stroke pixel is brighter than half; ink is the sum of the pixels in [0, 1].
    """
    stroke = int((images >= STROKE).sum())
    return {
        "saturated": int((images >= FULL).sum()) / stroke if stroke else 0.0,
        "mass": int(images.sum(dtype=np.int64)) / 255 / len(images),
    }
