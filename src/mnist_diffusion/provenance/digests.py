"""SHA-256 digests of what things mean: decoded tensors, JSON values; never of containers."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from mnist_diffusion.files import jsonfile


def array_digest(array: Any) -> str:
    """Digest of dtype, shape and the elements in C order, little-endian.

    Takes a NumPy array or a torch tensor on any device. The memory layout does not matter; the
    dtype, the shape and every bit do (0.0 is not -0.0). TypeError for arrays of Python objects.
    """
    values = _as_numpy(array)
    if values.dtype.hasobject:
        raise TypeError("an array of Python objects has no bytes to digest")
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    digest = hashlib.sha256(f"{little.dtype.str} {values.shape}\n".encode())
    digest.update(little.tobytes(order="C"))
    return digest.hexdigest()


def arrays_digest(arrays: Mapping[str, Any]) -> str:
    """Digest of named arrays or tensors, such as a state dict; their order does not matter."""
    return json_digest({name: array_digest(array) for name, array in arrays.items()})


def file_digest(path: Path) -> str:
    """Digest of a file's bytes, as `sha256sum` prints it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def json_digest(content: Any) -> str:
    """Digest of a JSON value: that of the file `write_json` makes of it. NaN is a ValueError."""
    return hashlib.sha256(jsonfile.to_text(content).encode()).hexdigest()


def content_digest(path: Path) -> str:
    """Digest of what a file holds, by its suffix: an array, named tensors, a JSON value, or bytes.

    OSError if it cannot be read, ValueError if it is not what its suffix says.
    """
    return _CONTENT.get(path.suffix, file_digest)(path)


def image_digests(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> list[str]:
    """One digest an image, (n, 28, 28), with its place in the set and its label, (n,)."""
    shape = images.shape[1:]
    return [
        hashlib.sha256(f"{k} {label} uint8 {shape}\n".encode() + image.tobytes()).hexdigest()
        for k, (image, label) in enumerate(zip(images, labels.tolist(), strict=True))
    ]


def _array_file(path: Path) -> str:
    return array_digest(np.load(path, allow_pickle=False))


def _tensor_file(path: Path) -> str:
    try:
        return arrays_digest(load_file(path))
    except SafetensorError as error:
        raise ValueError(str(error)) from None


def _json_file(path: Path) -> str:
    return json_digest(json.loads(path.read_text(encoding="utf-8")))


_CONTENT: dict[str, Callable[[Path], str]] = {
    ".npy": _array_file,
    ".safetensors": _tensor_file,
    ".json": _json_file,
}


def _as_numpy(array: Any) -> np.ndarray[Any, Any]:
    """Tensors are told by their `detach`, so that this file need not import torch."""
    return np.asarray(array.detach().cpu().numpy() if hasattr(array, "detach") else array)
