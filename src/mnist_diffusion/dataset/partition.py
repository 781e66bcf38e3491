"""Which digits are for training, validation and testing."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from mnist_diffusion.dataset.idx import CLASSES, Digits
from mnist_diffusion.runtime.errors import UserError


def split_digits(
    training: Digits, testing: Digits, *, sizes: Mapping[str, int], seed: int
) -> dict[str, Digits]:
    """Train and validation from MNIST's training digits, test from its test digits.

    Each split has the classes in the proportions of where it comes from. The same seed gives the
    same split. UserError where a size cannot be drawn so.
    """
    train, validation = _draw(training.labels, "train", "validation", sizes, seed)
    test = np.arange(len(testing.labels))
    if sizes["test"] != len(test):
        test, _ = _draw(testing.labels, "test", None, sizes, seed)
    return {
        "train": _take(training, train),
        "validation": _take(training, validation),
        "test": _take(testing, test),
    }


def _draw(
    labels: NDArray[np.int64], first: str, second: str | None, sizes: Mapping[str, int], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two disjoint stratified sets of indices, shuffled; the second is what is left if unnamed."""
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
