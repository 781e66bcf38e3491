"""What a denoiser is asked for in training: a digit by its label, or by a caption of its looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from mnist_diffusion.dataset.grammar import captions_of, encode
from mnist_diffusion.dataset.levels import Codes
from mnist_diffusion.networks.encoders import TextEncoder
from mnist_diffusion.training.epochs import Streams


class Asking(Protocol):
    """What is asked for, by the index of a training digit."""

    @property
    def nothing(self) -> float:
        """What stands where nothing is asked for."""

    def __call__(self, chosen: Tensor, streams: Streams, step: int) -> Tensor:
        """Of the digits of these indices (batch,) at a step: (batch, …)."""


@dataclass(frozen=True)
class AskedByLabel:
    """The digit that is shown."""

    labels: Tensor
    """(n,) int64."""
    nothing: float = -1

    def __call__(self, chosen: Tensor, streams: Streams, step: int) -> Tensor:
        return self.labels[chosen]


@dataclass(frozen=True)
class AskedByCaption:
    """A caption that is true of the digit, another one at each step, as a frozen encoder has it."""

    levels: Codes
    """(n, 4)."""
    encoder: TextEncoder
    nothing: float = 0
    """No caption is a vector of zeros, for all have length 1."""

    def __call__(self, chosen: Tensor, streams: Streams, step: int) -> Tensor:
        texts, _ = captions_of(self.levels[chosen.numpy()], streams("captions", step))
        with torch.no_grad():
            vectors: Tensor = self.encoder(encode(texts))
        return vectors
