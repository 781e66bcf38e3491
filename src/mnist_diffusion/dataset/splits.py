"""The train, validation and test digits: chosen, described, stored and loaded."""

import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_diffusion.dataset.mnist import CLASSES, Digits
from mnist_diffusion.files import paths
from mnist_diffusion.files.atomic import write_atomically
from mnist_diffusion.runtime.errors import UserError

SPLITS = ("train", "validation", "test")


def split_digits(
    training: Digits, testing: Digits, *, sizes: Mapping[str, int], seed: int
) -> dict[str, Digits]:
    """Train and validation from MNIST's training digits, test from its test digits.

    Each split has the classes in the proportions of where it comes from. The same seed gives the
    same split. UserError where a size cannot be drawn so.
    """
    train, validation = _stratified(training.labels, "train", "validation", sizes, seed)
    test = np.arange(len(testing.labels))
    if sizes["test"] != len(test):
        test, _ = _stratified(testing.labels, "test", None, sizes, seed)
    return {
        "train": _take(training, train),
        "validation": _take(training, validation),
        "test": _take(testing, test),
    }


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
    """The (images, labels) of "train", "validation" or "test".

    Of a folder that the stage has digested: that has proven its files.
    """
    parts = (folder / f"{name}-{part}.npy" for part in Digits._fields)
    return Digits(*(np.load(path, allow_pickle=False) for path in parts))


def _stratified(
    labels: NDArray[np.int64], first: str, second: str | None, sizes: Mapping[str, int], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two disjoint stratified sets of indices, shuffled; the second is what is left if unnamed."""
    from sklearn.model_selection import train_test_split  # here: it takes a second

    try:
        chosen, rest = train_test_split(
            np.arange(len(labels)),
            train_size=sizes[first],
            test_size=sizes[second] if second else None,
            stratify=labels,
            random_state=seed,
        )
    except ValueError as error:
        asked = " and ".join(f"{name} {sizes[name]}" for name in (first, second) if name)
        raise UserError(
            f"prepare.{first}: {asked} of {len(labels)} cannot be drawn with all classes "
            f"({error}); take {CLASSES} or more for each set and for what is left"
        ) from None
    return chosen, rest


def _take(digits: Digits, indices: NDArray[np.int64]) -> Digits:
    return Digits(digits.images[indices], digits.labels[indices])
