"""Whether drawn digits are copies of training digits (after Meehan, Chaudhuri & Dasgupta 2020).

Training and held-out digits were parted at random from one pool. A digit that was drawn without
looking at either has its nearest one among the m training digits with probability m / (m + h), and
more often only if training digits were copied. All of them take part, since m is most of them: of
as few training digits as are held out, most copies would go unseen.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import binomtest, fisher_exact
from torch import Tensor

from mnist_diffusion.runtime.threads import parallel_map

AT_A_TIME = 250
"""Images that meet others at once, and"""
BLOCK = 2000
"""as many of those: 2 MB of distances, which a processor's cache holds."""


def nearest_distances(images: NDArray[np.uint8], real: NDArray[np.uint8]) -> Tensor:
    """L2 distances (n,) float32 of images (n, 28, 28) to the nearest real, of pixels in [0, 1]."""
    others = _flat(real)
    blocks = [(block, block.square().sum(dim=1)) for block in others.split(BLOCK)]

    def run(some: Tensor) -> Tensor:
        nearest = torch.full((len(some),), torch.inf)
        for block, squares in blocks:
            apart = torch.addmm(squares, some, block.T, alpha=-2)
            nearest = torch.minimum(nearest, apart.amin(dim=1))
        return nearest + some.square().sum(dim=1)

    parts = parallel_map(run, _flat(images).split(AT_A_TIME), others.device)
    return torch.cat(list(parts)).clamp(min=0).sqrt()


def nearer(to_training: Tensor, to_held_out: Tensor) -> Tensor:
    """(n,) bool: which images are nearer to a training digit than to any held out."""
    return to_training < to_held_out


def copies(nearer: Tensor, training: int, held_out: int) -> dict[str, float]:
    """In pixels: the share that is nearer to one of the training digits, and what to expect.

    p: exact binomial, of so large a share or a larger one where nothing was copied.
    """
    expected = training / (training + held_out)
    found = binomtest(int(nearer.sum()), len(nearer), expected, alternative="greater")
    return {"share": float(nearer.double().mean()), "expected": expected, "p": float(found.pvalue)}


def copies_in_features(nearer: Tensor, real_nearer: int, real: int) -> dict[str, float]:
    """The same in the classifier's features, against `real_nearer` of so many real test digits.

    The classifier was trained on the training digits and may have drawn its features nearer to
    them, so that what to expect is what other real digits show. p: exact test of Fisher's of the
    two shares, of one so much larger.
    """
    hits = int(nearer.sum())
    table = [[hits, len(nearer) - hits], [real_nearer, real - real_nearer]]
    return {
        "share": hits / len(nearer),
        "expected": real_nearer / real,
        "p": float(fisher_exact(table, alternative="greater").pvalue),
    }


def _flat(images: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(images.reshape(len(images), -1)).float() / 255
