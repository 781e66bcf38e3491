"""The IDX format of the MNIST files (http://yann.lecun.com/exdb/mnist, "file formats").

A magic number (two zero bytes, the type code, the number of dimensions), the dimensions as
big-endian uint32, then the items. Sizes are compared before any array is made, so a header that
declares billions of items costs nothing.
"""

import math
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_diffusion.runtime.errors import UserError

UNSIGNED_BYTE = 0x08
SIDE = 28
CLASSES = 10
FIX = "replace it by MNIST's decoded file"


class Digits(NamedTuple):
    """Handwritten digits and what they show."""

    images: NDArray[np.uint8]
    """(n, 28, 28), 0 is background"""
    labels: NDArray[np.int64]
    """(n,), 0 … 9"""


def read_digits(folder: Path, prefix: str) -> Digits:
    """Read the images and labels named `prefix` ("train" or "t10k"); UserError if they are bad."""
    images_path = folder / f"{prefix}-images-idx3-ubyte"
    labels_path = folder / f"{prefix}-labels-idx1-ubyte"
    images = parse_images(_read(images_path), str(images_path))
    labels = parse_labels(_read(labels_path), str(labels_path))
    if len(images) != len(labels):
        raise UserError(
            f"{labels_path}: {len(labels)} labels for {len(images)} images; "
            "replace both by MNIST's decoded files"
        )
    return Digits(images, labels)


def parse_images(content: bytes, source: str) -> NDArray[np.uint8]:
    """The images of an IDX file, (n, 28, 28); UserError, naming `source`, if it holds none."""
    images = _parse(content, source, dimensions=3)
    if images.shape[1:] != (SIDE, SIDE):
        _, height, width = images.shape
        raise UserError(f"{source}: images of {height}×{width}, not {SIDE}×{SIDE}; {FIX}")
    return images


def parse_labels(content: bytes, source: str) -> NDArray[np.int64]:
    """The labels of an IDX file, (n,), 0 … 9; UserError, naming `source`, if it holds none."""
    labels = _parse(content, source, dimensions=1)
    largest = int(labels.max())
    if largest >= CLASSES:
        raise UserError(f"{source}: label {largest}, the largest is {CLASSES - 1}; {FIX}")
    return labels.astype(np.int64)


def _parse(content: bytes, source: str, dimensions: int) -> NDArray[np.uint8]:
    """Unsigned bytes with the declared shape, as a read-only view of `content`."""
    expected = bytes([0, 0, UNSIGNED_BYTE, dimensions])
    if content[:4] != expected:
        raise UserError(
            f"{source}: starts with {content[:4].hex() or 'nothing'}, not with the magic number "
            f"{expected.hex()}; {FIX}"
        )
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise UserError(f"{source}: ends within its header of {header} bytes; {FIX}")
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    declared, held = math.prod(shape), len(content) - header
    if declared == 0:
        raise UserError(f"{source}: declares no items; {FIX}")
    if declared != held:
        cause = "truncated" if held < declared else "trailing bytes"
        raise UserError(f"{source}: {cause}: declares {declared} bytes, holds {held}; {FIX}")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); run `dvc repro fetch`"
        ) from None
