"""The MNIST files: what they are called, how to know them whoever delivered them, what they hold.

The digests are of the decoded files: archives of the same bytes differ from packer to packer.
"""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_diffusion.runtime.errors import UserError

SIDE = 28
CLASSES = 10
SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
GZIP_MAGIC = b"\x1f\x8b"


class Digits(NamedTuple):
    """Handwritten digits and what they show."""

    images: NDArray[np.uint8]
    """(n, 28, 28), 0 is background"""
    labels: NDArray[np.int64]
    """(n,), 0 … 9"""


def missing(folder: Path) -> list[str]:
    """The files that the folder lacks; one that is there and not MNIST's is a UserError."""
    # lexists: a dangling link stands for a file that someone put there, too.
    there = [name for name in SHA256 if os.path.lexists(folder / name)]
    for name in there:
        _check(folder / name)
    return [name for name in SHA256 if name not in there]


def require(folder: Path) -> None:
    """UserError unless the folder holds the four files, bit for bit."""
    for name in missing(folder):
        raise UserError(f"{folder / name}: not found; run `dvc repro fetch`")


def read_digits(folder: Path, prefix: str) -> Digits:
    """The images and labels named `prefix`, "train" or "t10k", of a folder that `require` passed.

    IDX: a magic number, the dimensions as uint32, then the bytes (yann.lecun.com/exdb/mnist).
    """
    images = np.fromfile(folder / f"{prefix}-images-idx3-ubyte", np.uint8, offset=16)
    labels = np.fromfile(folder / f"{prefix}-labels-idx1-ubyte", np.uint8, offset=8)
    return Digits(images.reshape(-1, SIDE, SIDE), labels.astype(np.int64))


def _check(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(len(GZIP_MAGIC))
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); remove it to have it fetched"
        ) from None
    if digest != SHA256[path.name]:
        raise UserError(
            f"{path}: {_describe(digest, start)}; it was left untouched: replace it by MNIST's "
            "decoded file, or remove it to have it fetched"
        )


def _describe(digest: str, start: bytes) -> str:
    """What a wrong file is."""
    if start == GZIP_MAGIC:
        return "still compressed by gzip"
    namesake = next((name for name, known in SHA256.items() if known == digest), None)
    return f"holds {namesake}" if namesake else f"not MNIST's file (SHA-256 {digest[:12]}…)"
