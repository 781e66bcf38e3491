"""What text and image encoder know of digits that they have not seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor

from mnist_diffusion.dataset.grammar import DIGITS, captions_of, encode
from mnist_diffusion.dataset.levels import DIGIT, SLANT, THICKNESS, Codes, Corners, truth
from mnist_diffusion.dataset.pixels import to_tensor
from mnist_diffusion.networks.encoders import Clip
from mnist_diffusion.networks.fixed_batches import in_batches
from mnist_diffusion.runtime.seeds import generator

WORDS = [f"a handwritten {name}" for name in DIGITS]
NUMERALS = [str(digit) for digit in range(len(DIGITS))]
THICKNESSES = ["a thin digit", "a medium digit", "a thick digit"]
SLANTS = ["a digit leaning left", "an upright digit", "a digit leaning right"]
CORNERS_IN_WORDS = {
    (1, 1): "a thin {} leaning left",
    (1, 3): "a thin {} leaning right",
    (3, 1): "a thick {} leaning left",
    (3, 3): "a thick {} leaning right",
}
"""By the codes of thickness and slant, all said alike."""
PAIRS = 1000
"""Digits whose captions meet each other's digits."""

Vectors = Tensor
"""(n, d), of length 1."""


def vectors_of_images(clip: Clip, images: NDArray[np.uint8], device: torch.device) -> Vectors:
    """Of images (n, 28, 28)."""
    return in_batches(lambda batch: (clip.image(batch),), to_tensor(images), device)[0]


def vectors_of_texts(clip: Clip, texts: Sequence[str], device: torch.device) -> Vectors:
    """Of captions or prompts."""
    return in_batches(lambda batch: (clip.text(batch),), encode(texts), device)[0]


def scores(
    clip: Clip,
    images: NDArray[np.uint8],
    levels: Codes,
    corners: Corners,
    seed: int,
    device: torch.device,
) -> dict[str, Any]:
    """All that is told of the encoders, on images (n, 28, 28) and their levels (n, 4)."""
    seen = vectors_of_images(clip, images, device)

    def nearest(texts: Sequence[str]) -> NDArray[np.int64]:
        return np.asarray((seen @ vectors_of_texts(clip, texts, device).T).argmax(dim=1))

    digit, thickness, slant = (levels[:, column] for column in (DIGIT, THICKNESS, SLANT))
    return {
        "digit_by_word": _share(nearest(WORDS) == digit),
        "digit_by_numeral": _share(nearest(NUMERALS) == digit),
        "thickness_of_three": _share(nearest(THICKNESSES) == _third(thickness)),
        "slant_of_three": _share(nearest(SLANTS) == _third(slant)),
        "thickness_of_two": _of_two(nearest(THICKNESSES[::2]), thickness),
        "slant_of_two": _of_two(nearest(SLANTS[::2]), slant),
        "auc": _auc_of_captions(clip, seen[:PAIRS], levels[:PAIRS], seed, device),
        **_held_out(clip, seen, levels, corners, device),
    }


def auc(true: NDArray[np.bool_], values: NDArray[np.float64]) -> float:
    """How often a value of what is true is above one of what is not; ties count half.

    The rank-sum form (Mann & Whitney 1947). Both (n,), and some of each there must be.
    """
    yes = int(true.sum())
    ranks = rankdata(values)[true].sum()
    return float((ranks - yes * (yes + 1) / 2) / (yes * (len(true) - yes)))


def _auc_of_captions(
    clip: Clip, seen: Vectors, levels: Codes, seed: int, device: torch.device
) -> float:
    """Mean over captions of the digits themselves that are true of some of them, not of all."""
    texts, asked = captions_of(levels, generator(seed, "clip/auc"))
    similar = (vectors_of_texts(clip, texts, device) @ seen.T).double().numpy()
    rows = zip(truth(asked, levels), similar, strict=True)
    return float(np.mean([auc(true, values) for true, values in rows if not true.all()]))


def _held_out(
    clip: Clip, seen: Vectors, levels: Codes, corners: Corners, device: torch.device
) -> dict[str, float | int]:
    """Of digits in a held-out corner: which corner of their digit their vector is nearest."""
    held = np.flatnonzero(corners.hold(levels))
    pairs = list(CORNERS_IN_WORDS)
    right = []
    for digit, name in enumerate(DIGITS):
        own = held[levels[held, DIGIT] == digit]
        texts = [words.format(name) for words in CORNERS_IN_WORDS.values()]
        found = (seen[own] @ vectors_of_texts(clip, texts, device).T).argmax(dim=1)
        due = pairs.index((corners.codes[digit][0], corners.codes[digit][1]))
        right += (found == due).tolist()
    return {"held_out_of_four": _share(np.array(right, dtype=np.bool_)), "held_out": len(held)}


def _third(levels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Levels 0 to 4 → 0 below the middle one, 1 at it, 2 above it."""
    return np.sign(levels - 2) + 1


def _of_two(found: NDArray[np.int64], levels: NDArray[np.int64]) -> float:
    """Of digits on either side of the middle: how many are found on theirs, 0 or 1."""
    apart = levels != 2
    return _share((found == (levels > 2))[apart])


def _share(right: NDArray[np.bool_]) -> float:
    """NaN has no place in a report: of no digits it is 0."""
    return float(right.mean()) if len(right) else 0.0
