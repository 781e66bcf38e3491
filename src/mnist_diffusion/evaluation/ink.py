"""What pixels alone show: ink, strokes that are not full, and backgrounds that are not black."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mnist_diffusion.evaluation.estimates import Estimate

STROKE = 128
FULL = 250
BLACK = 0.01
"""In how many training digits a pixel of the background may be anything but black."""


def background_of(training: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(28, 28): the pixels that are black in 99 % of the training digits (m, 28, 28) or more."""
    background: NDArray[np.bool_] = (training > 0).mean(axis=0) <= BLACK
    return background


def ink(
    images: NDArray[np.uint8], labels: Tensor, background: NDArray[np.bool_]
) -> dict[str, Estimate]:
    """Of images (n, 28, 28): saturated, mass and background.

    saturated: the share of stroke pixels that are full; a stroke pixel is brighter than half. mass:
    the sum of the pixels in [0, 1], per image. background: the mean of the pixels that are black in
    nearly every real digit, in [0, 1].
    """
    pixels = torch.from_numpy(images.reshape(len(images), -1))
    stroke, full = (pixels >= STROKE).sum(dim=1), (pixels >= FULL).sum(dim=1)
    behind = pixels[:, torch.from_numpy(background.reshape(-1))]
    grey = behind.sum(dim=1) / 255 / max(1, behind.shape[1])
    return {
        "saturated": Estimate.ratio(full, stroke, labels),
        "mass": Estimate.mean(pixels.sum(dim=1) / 255, labels),
        "background": Estimate.mean(grey, labels),
    }


def stroke_gap(saturated: Estimate, real: float) -> Estimate:
    """How far the share of full stroke pixels lies from that of real digits, either way."""
    sign = 1.0 if saturated.value >= real else -1.0
    return Estimate(abs(saturated.value - real), sign * saturated.influences, saturated.labels)
