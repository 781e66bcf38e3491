"""How plainly one sees where the half of a digit that was drawn meets the half that is real."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

HALF = 14


def jumps(images: NDArray[np.uint8], drawn: str) -> NDArray[np.float64]:
    """(n,): the mean step of brightness, in [0, 1], across the edge of a half, of (n, 28, 28)."""
    across = images if drawn in ("upper", "lower") else images.swapaxes(1, 2)
    steps = across[:, HALF].astype(np.float64) - across[:, HALF - 1]
    jumps: NDArray[np.float64] = np.abs(steps).mean(axis=1) / 255
    return jumps
