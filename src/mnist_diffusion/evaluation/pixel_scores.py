"""What pixels alone show: ink, and copies of training digits.

Copies: are drawn digits nearer to training digits than unseen real digits are?
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mnist_diffusion.runtime.threads import parallel_map

STROKE = 128
FULL = 250
CLOSE = 0.01
AT_A_TIME = 250
"""Images whose distances to all training digits are held at once: 110 MB for 55,000 of these."""


def pixel_statistics(images: NDArray[np.uint8]) -> dict[str, float]:
    """Of images (n, 28, 28): the share of stroke pixels that are saturated, and ink per image.

    A stroke pixel is brighter than half; ink is the sum of the pixels in [0, 1].
    """
    stroke = int((images >= STROKE).sum())
    return {
        "saturated": int((images >= FULL).sum()) / stroke if stroke else 0.0,
        "mass": int(images.sum(dtype=np.int64)) / 255 / len(images),
    }


def nearest_distances(
    images: NDArray[np.uint8], training: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """L2 distances (n,) of images (n, 28, 28) to the nearest training digits; pixels in [0, 1]."""
    others = _flat(training)
    squares = others.square().sum(dim=1)

    def run(some: Tensor) -> Tensor:
        # Whole numbers below 2^53, so that |a|² - 2 a·b + |b|² is exact in any order.
        apart = torch.addmm(squares, some, others.T, alpha=-2)
        return apart.amin(dim=1) + some.square().sum(dim=1)

    parts = parallel_map(run, _flat(images).split(AT_A_TIME), others.device)
    distances = torch.cat(list(parts)).sqrt() / 255
    return distances.float().numpy()


def memorisation(distances: NDArray[np.float32], test: NDArray[np.float32]) -> dict[str, float]:
    """How near the drawn digits come, beside how near the real test digits do.

    `share_closer` is the share of drawn digits nearer than the nearest 1 % of test digits: some
    0.01 where nothing is copied, more where digits are.
    """
    return {
        "median_distance": float(np.median(distances)),
        "median_distance_test": float(np.median(test)),
        "share_closer": float((distances < np.quantile(test, CLOSE)).mean()),
    }


def _flat(images: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(images.reshape(len(images), -1).astype(np.float64))
