"""Real digits spoilt in known ways: what a metric is worth is what it sees of these."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from mnist_diffusion.runtime.errors import UserError

CLASSES = 10
CROSS = ndimage.generate_binary_structure(2, 1)[None]
"""A pixel and its four neighbours, within one image."""


class Pool(NamedTuple):
    """Real digits in random order, more than are asked for."""

    images: NDArray[np.uint8]
    """(m, 28, 28)"""
    labels: NDArray[np.int64]
    """(m,)"""


Corruption = Callable[[Pool, int, float, Generator], Pool]
"""n digits of a pool, spoilt with a severity: images, and the digits they are said to be."""


def blur(pool: Pool, n: int, severity: float, randomness: Generator) -> Pool:
    """A Gaussian of `severity` pixels over each image."""
    images = pool.images[:n].astype(np.float64)
    return _repixelled(pool, ndimage.gaussian_filter(images, (0, severity, severity)))


def noise(pool: Pool, n: int, severity: float, randomness: Generator) -> Pool:
    """White noise of `severity` times the range of pixels, clipped."""
    images = pool.images[:n].astype(np.float64)
    return _repixelled(pool, images + 255 * severity * randomness.standard_normal(images.shape))


def erosion(pool: Pool, n: int, severity: float, randomness: Generator) -> Pool:
    """The share `severity` of the way to strokes that have lost a pixel at each side."""
    images = pool.images[:n].astype(np.float64)
    thinner = ndimage.grey_erosion(images, footprint=CROSS)
    return _repixelled(pool, images + severity * (thinner - images))


def dropped_class(pool: Pool, n: int, severity: float, randomness: Generator) -> Pool:
    """No digits of the last `severity` classes; others stand in their places."""
    kept = np.flatnonzero(pool.labels < CLASSES - severity)[:n]
    if len(kept) < n:
        raise UserError(
            f"calibration.ladder.dropped-class: without {severity} classes {len(kept)} test digits "
            f"are left for a set of {n}; drop fewer, or lower calibration.count"
        )
    return Pool(pool.images[kept], pool.labels[kept])


def duplicates(pool: Pool, n: int, severity: float, randomness: Generator) -> Pool:
    """The share `severity` of the images are copies of the others."""
    originals = max(1, round(n * (1 - severity)))
    chosen = np.arange(n) % originals
    return Pool(pool.images[chosen], pool.labels[chosen])


def wrong_labels(pool: Pool, n: int, severity: float, randomness: Generator) -> Pool:
    """The share `severity` of the images are said to be another digit, any of the nine."""
    labels = pool.labels[:n].copy()
    wrong = randomness.permutation(n)[: round(n * severity)]
    labels[wrong] = (labels[wrong] + randomness.integers(1, CLASSES, len(wrong))) % CLASSES
    return Pool(pool.images[:n], labels)


CORRUPTIONS: dict[str, Corruption] = {
    "blur": blur,
    "noise": noise,
    "erosion": erosion,
    "dropped-class": dropped_class,
    "duplicates": duplicates,
    "wrong-labels": wrong_labels,
}


def _repixelled(pool: Pool, values: NDArray[np.float64]) -> Pool:
    pixels = np.rint(np.clip(values, 0, 255)).astype(np.uint8)
    return Pool(pixels, pool.labels[: len(pixels)])
