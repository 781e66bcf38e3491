"""Which digits a step of training sees: stretches of a permutation, a new one each epoch."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Generator, Tensor

from mnist_diffusion.runtime.seeds import generator


class Streams:
    """Random numbers of a training, each from (seed, purpose, step) alone.

    A training that goes on later needs no state of a generator.
    """

    def __init__(self, name: str, seed: int):
        self._name, self._seed = name, seed

    def __call__(self, purpose: str, index: int) -> Generator:
        """The stream for a purpose at a step or epoch."""
        return generator(self._seed, f"{self._name}/{purpose}", index)


class Epochs:
    """Indices of `size` of `count` digits for each step; stretches are whole."""

    def __init__(self, count: int, size: int, streams: Streams):
        self._count, self._size, self._streams = count, size, streams
        self._order = lru_cache(maxsize=1)(self._permutation)

    def __call__(self, step: int) -> Tensor:
        """(size,) int64."""
        epoch, position = divmod(step, self._count // self._size)
        return self._order(epoch)[position * self._size :][: self._size]

    def _permutation(self, epoch: int) -> Tensor:
        return torch.randperm(self._count, generator=self._streams("order", epoch))
