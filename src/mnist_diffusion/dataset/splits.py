"""The train, validation and test digits: described, stored and loaded."""

import io
import math
import tokenize
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_diffusion.dataset.idx import CLASSES, SIDE, Digits
from mnist_diffusion.files import paths
from mnist_diffusion.files.atomic import write_atomically
from mnist_diffusion.runtime.errors import UserError

SPLITS = ("train", "validation", "test")

UNREADABLE = (OSError, ValueError, OverflowError, tokenize.TokenError)
"""What numpy raises on a file that is no .npy array, or not all of one."""


def summarise(digits: Digits) -> dict[str, Any]:
    """Counts and pixel statistics (pixels in [0, 1]), exact to the last bits of float64."""
    images, labels = digits
    # Whole numbers: float sums would depend on their order, and cost ten times the memory.
    mean = int(images.sum(dtype=np.int64)) / images.size
    mean_square = int(np.square(images, dtype=np.uint16).sum(dtype=np.int64)) / images.size
    per_class = np.bincount(labels, minlength=CLASSES)
    return {
        "count": len(labels),
        "count_per_class": {str(digit): int(count) for digit, count in enumerate(per_class)},
        "pixel_mean": mean / 255,
        "pixel_std": math.sqrt(mean_square - mean**2) / 255,
    }


def save_split(name: str, digits: Digits, folder: Path = paths.PREPARED) -> None:
    """Write <name>-images.npy and <name>-labels.npy, each whole or not at all."""
    for part, array in digits._asdict().items():
        content = io.BytesIO()
        np.save(content, array, allow_pickle=False)
        write_atomically(folder / f"{name}-{part}.npy", content.getvalue())


def load_split(name: str, folder: Path = paths.PREPARED) -> Digits:
    """The (images, labels) of "train", "validation" or "test"; UserError if they are unusable."""
    images_path, labels_path = (folder / f"{name}-{part}.npy" for part in Digits._fields)
    images = _load(images_path, np.dtype(np.uint8), (SIDE, SIDE))
    labels = _load(labels_path, np.dtype(np.int64), ())
    if len(images) != len(labels):
        raise UserError(
            f"{labels_path}: {len(labels)} labels for {len(images)} images; run `dvc repro prepare`"
        )
    if len(labels) and not 0 <= labels.min() <= labels.max() < CLASSES:
        raise UserError(f"{labels_path}: labels other than 0 … 9; run `dvc repro prepare`")
    return Digits(images, labels)


def _load(path: Path, dtype: np.dtype[Any], item: tuple[int, ...]) -> NDArray[Any]:
    """An array of items; mapped first, so that a header can't make us allocate what isn't there."""
    try:
        mapped = np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run `dvc repro prepare`") from None
    except UNREADABLE:
        raise UserError(f"{path}: no plain .npy array; run `dvc repro prepare`") from None
    if mapped.dtype != dtype or mapped.ndim != 1 + len(item) or mapped.shape[1:] != item:
        raise UserError(
            f"{path}: {mapped.dtype} {mapped.shape}, not {dtype} of {('n', *item)}; "
            "run `dvc repro prepare`"
        )
    return np.array(mapped, order="C")
