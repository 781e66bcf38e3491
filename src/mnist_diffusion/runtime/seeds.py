"""Every random number of the project starts here: one root seed, named independent streams."""

import hashlib
from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor, nn


def derive_seed(root: int, purpose: str, index: int = 0) -> int:
    """A 63-bit seed from (root seed, purpose, index) by SHA-256: no two streams overlap."""
    digest = hashlib.sha256(f"{root}/{purpose}/{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(root: int, purpose: str, index: int = 0) -> Generator:
    """A generator for one purpose, on the CPU: other devices would draw other numbers."""
    return Generator().manual_seed(derive_seed(root, purpose, index))


def seeded(network_builder: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Build a network whose initial weights depend on `seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return network_builder()


class PerImageNoise:
    """Standard normal noise in which image k depends on (root, purpose, k) and nothing else.

    Not on the batch it is drawn in, its place there, or how many other images there are.
    """

    def __init__(self, root: int, purpose: str, indices: Sequence[int], shape: Sequence[int]):
        self._generators = [generator(root, purpose, index) for index in indices]
        self._shape = tuple(shape)

    def __call__(self) -> Tensor:
        """The next draw; shape (number of indices, *shape), float32, on the CPU."""
        return torch.stack([torch.randn(self._shape, generator=g) for g in self._generators])
