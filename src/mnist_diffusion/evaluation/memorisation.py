"""Copies: are drawn digits nearer to training digits than unseen real digits are?"""

from typing import cast

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import pairwise_distances_argmin_min

CLOSE = 0.01


def nearest_distances(
    images: NDArray[np.uint8], training: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """L2 distances (n,) of images (n, 28, 28) to the nearest training digits; pixels in [0, 1]."""
    _, distances = pairwise_distances_argmin_min(_flat(images), _flat(training))
    return cast(NDArray[np.float32], distances)


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


def _flat(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(255)
