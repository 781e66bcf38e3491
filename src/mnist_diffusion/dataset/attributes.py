"""What can be measured on any digit, real or drawn: how thick its stroke is, its slant, its width.

Castro et al. 2019 (Morpho-MNIST) measure thickness along a skeleton; a mean over all ink needs
none, is many times faster, and ranks digits as theirs does. The slant is theirs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

AT_A_TIME = 500
"""Digits that are held at twice the resolution at once: 13 MB."""

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Attributes:
    """Measurements of n digits, each (n,) float64."""

    thickness: Floats
    """Of the stroke, in pixels; 0 of a blank image."""
    slant: Floats
    """In degrees: 0 is upright, positive leans to the right; 0 where nothing can lean."""
    width: Floats
    """In pixels, of the digit stood upright."""

    @classmethod
    def of(cls, images: Pixels) -> Attributes:
        """Measure images (n, 28, 28)."""
        slant, width = _slant_and_width(images)
        return cls(thickness(images), slant, width)

    def table(self) -> Floats:
        """(n, 3): thickness, slant, width."""
        return np.stack([self.thickness, self.slant, self.width], axis=1)

    @classmethod
    def from_table(cls, table: Floats) -> Attributes:
        """The inverse of `table`."""
        return cls(*np.ascontiguousarray(table.T))


def thickness(images: Pixels) -> Floats:
    """The width, in pixels, of the bar whose ink is as far from the background; (n, 28, 28) → (n,).

    From the mean over all ink of the distance to the nearest background, at twice the resolution:
    across a bar of W rows that mean is (W + 2) / 4 for even W.
    """
    parts = [_inked(images[k : k + AT_A_TIME]) for k in range(0, len(images), AT_A_TIME)]
    return np.array([_mean_thickness(ink) for part in parts for ink in part], dtype=np.float64)


def _mean_thickness(ink: NDArray[np.bool_]) -> float:
    """Of one image at twice the resolution; beyond its edge is background."""
    from scipy.ndimage import distance_transform_edt  # here: it takes half a second

    if not ink.any():
        return 0.0
    distances = distance_transform_edt(np.pad(ink, 1))[1:-1, 1:-1]
    return float((4 * distances[ink].mean() - 2) / 2)


def _inked(images: Pixels) -> NDArray[np.bool_]:
    """Which pixels, at twice the resolution, are at least halfway up to the brightest.

    (n, h, w) → (n, 2h, 2w). Linear interpolation with weights of 3 and 1 quarters, times 16: whole
    numbers.
    """
    fine = _doubled(_doubled(images.astype(np.int32), axis=1), axis=2)
    low, high = (end(axis=(1, 2), keepdims=True) for end in (fine.min, fine.max))
    return (2 * (fine - low) >= high - low) & (high > low)


def _doubled(values: NDArray[np.int32], axis: int) -> NDArray[np.int32]:
    """Four times the values halfway between a place and its neighbours; beyond the edge is 0."""
    moved = np.moveaxis(values, axis, -1)
    edged = np.pad(moved, [(0, 0)] * (moved.ndim - 1) + [(1, 1)])
    near = 3 * edged[..., 1:-1]
    pairs = np.stack([near + edged[..., :-2], near + edged[..., 2:]], axis=-1)
    return np.moveaxis(pairs.reshape(*moved.shape[:-1], -1), -1, axis)


def _slant_and_width(images: Pixels) -> tuple[Floats, Floats]:
    """Degrees and pixels, each (n,), from the moments of the ink.

    The slant is arctan(-u11 / u02). With that shear undone, the variance across is
    u20 - u11² / u02, and a bar w pixels wide has (w² - 1) / 12.
    """
    ink = images.astype(np.int64)
    rows, columns = ink.sum(axis=2), ink.sum(axis=1)
    mass = rows.sum(axis=1)
    y, x = np.arange(ink.shape[1]), np.arange(ink.shape[2])
    sum_y, sum_x = rows @ y, columns @ x
    # mass² times the central moments
    u02 = mass * (rows @ y**2) - sum_y**2
    u20 = mass * (columns @ x**2) - sum_x**2
    u11 = mass * ((ink @ x) @ y) - sum_x * sum_y
    shear = u11 / np.maximum(u02, 1)
    across = (u20 - shear * u11) / np.maximum(mass, 1) ** 2
    width = np.where(mass > 0, np.sqrt(12 * np.maximum(across, 0.0) + 1), 0.0)
    return np.degrees(np.arctan(-shear)), width
