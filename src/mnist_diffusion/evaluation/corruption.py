"""Real digits corrupted in known ways, and which metric detects which corruption."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from mnist_diffusion.dataset.mnist import CLASSES, Digits
from mnist_diffusion.evaluation.metrics import METRICS
from mnist_diffusion.runtime.errors import UserError

CROSS = ndimage.generate_binary_structure(2, 1)[None]
"""A pixel and its four neighbours, within one image."""

Corruption = Callable[[Digits, int, float, Generator], Digits]
"""n of a pool of more digits, corrupted to a severity, with the labels that they then carry."""


def blur(pool: Digits, n: int, severity: float, randomness: Generator) -> Digits:
    """A Gaussian of `severity` pixels over each image."""
    images = pool.images[:n].astype(np.float64)
    return _repixelled(pool, ndimage.gaussian_filter(images, (0, severity, severity)))


def noise(pool: Digits, n: int, severity: float, randomness: Generator) -> Digits:
    """White noise of `severity` times the range of pixels, clipped."""
    images = pool.images[:n].astype(np.float64)
    return _repixelled(pool, images + 255 * severity * randomness.standard_normal(images.shape))


def erosion(pool: Digits, n: int, severity: float, randomness: Generator) -> Digits:
    """The share `severity` of the way to strokes that have lost a pixel at each side."""
    images = pool.images[:n].astype(np.float64)
    thinner = ndimage.grey_erosion(images, footprint=CROSS)
    return _repixelled(pool, images + severity * (thinner - images))


def dropped_class(pool: Digits, n: int, severity: float, randomness: Generator) -> Digits:
    """No digits of the last `severity` classes; others stand in their places."""
    kept = np.flatnonzero(pool.labels < CLASSES - severity)[:n]
    if len(kept) < n:
        raise UserError(
            f"calibration.corruptions.dropped-class: without {severity} classes {len(kept)} test "
            f"digits are left for a set of {n}; drop fewer, or lower calibration.count"
        )
    return Digits(pool.images[kept], pool.labels[kept])


def duplicates(pool: Digits, n: int, severity: float, randomness: Generator) -> Digits:
    """The share `severity` of the images are copies of the others."""
    originals = max(1, round(n * (1 - severity)))
    chosen = np.arange(n) % originals
    return Digits(pool.images[chosen], pool.labels[chosen])


def wrong_labels(pool: Digits, n: int, severity: float, randomness: Generator) -> Digits:
    """The share `severity` of the images are labelled as another digit, any of the nine."""
    labels = pool.labels[:n].copy()
    wrong = randomness.permutation(n)[: round(n * severity)]
    labels[wrong] = (labels[wrong] + randomness.integers(1, CLASSES, len(wrong))) % CLASSES
    return Digits(pool.images[:n], labels)


CORRUPTIONS: dict[str, Corruption] = {
    "blur": blur,
    "noise": noise,
    "erosion": erosion,
    "dropped-class": dropped_class,
    "duplicates": duplicates,
    "wrong-labels": wrong_labels,
}


def _repixelled(pool: Digits, values: NDArray[np.float64]) -> Digits:
    pixels = np.rint(np.clip(values, 0, 255)).astype(np.uint8)
    return Digits(pixels, pool.labels[: len(pixels)])


def degradation(metric: str, value: float, baseline: Mapping[str, float]) -> float:
    """How far a value lies on the bad side of real sets' mean, in widths of their range.

    Over 1 it is beyond anything real sets scored. A range of no width counts as the least that
    float64 tells apart.
    """
    sign = 1 if METRICS[metric].lower_is_better else -1
    width = max(baseline["high"] - baseline["low"], 1e-12)
    return sign * (value - baseline["mean"]) / width


def detection(corruption: str, metric: str, degradations: Sequence[float]) -> dict[str, Any]:
    """Whether a metric detects a corruption, by its degradations at rising severity.

    It detects what takes it out of the real range, further and further: no step back by more than
    the range, nor by more than a tenth of the way. Blind: it does not detect what it must.
    Flattered: it takes some severity for better than anything real.
    """
    allowed = max(1.0, 0.1 * max(degradations))
    steps = pairwise(degradations)
    sees = degradations[-1] > 1 and all(later > earlier - allowed for earlier, later in steps)
    must = corruption in METRICS[metric].must_detect
    return {
        "corruption": corruption,
        "metric": metric,
        "sees": sees,
        "must": must,
        "blind": must and not sees,
        "flattered": min(degradations) < -1,
    }
