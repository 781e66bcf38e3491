"""What is asked for in a sample set: digits in turn, by label or in words, or one prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from mnist_diffusion.dataset.grammar import DIGITS, NUMBERS, Draws, asked_of, caption, encode
from mnist_diffusion.dataset.levels import DIGIT, NOTHING, Codes
from mnist_diffusion.networks.encoders import TextEncoder
from mnist_diffusion.networks.text_files import load_text_encoder
from mnist_diffusion.runtime.seeds import generator

NO_LABEL = -1
THIRDS = (1, 2, 3)
"""Codes of thin, medium and thick, and of leaning left, upright and leaning right."""
GRID = len(DIGITS) * len(THIRDS) ** 2
"""Prompts of a grid, after which its questions come again in other words."""
COMMON = ((0.05, 0.25, 0.75, 0.95), (0.05, 0.25, 0.75, 0.95), (0.25, 0.75))
"""Where levels of thickness, slant and width end, as shares of MNIST's digits."""


class Wishes(Protocol):
    """What is asked for, by the index of an image."""

    @property
    def nothing(self) -> float:
        """What stands where nothing is asked for."""

    @property
    def networks(self) -> dict[str, nn.Module]:
        """What reads, by a word for it."""

    def __call__(self, indices: Sequence[int], prompts: str) -> Tensor:
        """Of the images of these indices, in this set of prompts: (n, …)."""


@dataclass(frozen=True)
class LabelsAsked:
    """Digit k mod 10 for image k."""

    nothing: float = NO_LABEL

    @property
    def networks(self) -> dict[str, nn.Module]:
        return {}

    def __call__(self, indices: Sequence[int], prompts: str) -> Tensor:
        return torch.tensor([index % 10 for index in indices])


@dataclass(frozen=True)
class PromptsAsked:
    """A prompt for each image, as the run's frozen encoder has it."""

    encoder: TextEncoder
    prompt: str | None = None
    """For all images; None: those of the set of prompts."""
    nothing: float = 0

    @property
    def networks(self) -> dict[str, nn.Module]:
        return {"text": self.encoder}

    def __call__(self, indices: Sequence[int], prompts: str) -> Tensor:
        if self.prompt is None:
            texts = [prompt_for(index, prompts) for index in indices]
        else:
            texts = [self.prompt] * len(indices)
        tokens = encode(texts).to(self.encoder.places.device)
        vectors: Tensor = self.encoder(tokens)
        return vectors


def labels_for(count: int, asked: bool) -> np.ndarray:
    """Digit k mod 10 for image k, or -1 for all where nothing is asked for; (count,) int64."""
    if not asked:
        return np.full(count, NO_LABEL, dtype=np.int64)
    return np.arange(count, dtype=np.int64) % 10


def asked_for(index: int, prompts: str) -> list[int]:
    """What image `index` is asked for in a set of prompts: codes (4,), the digit k mod 10."""
    return PROMPTS[prompts](index)


def prompt_for(index: int, prompts: str) -> str:
    """That in words; the same whatever other prompts there are."""
    asked = asked_for(index, prompts)
    if prompts == "digits":
        return f"a handwritten {DIGITS[asked[0]]}"
    numbers = torch.rand(NUMBERS, generator=generator(0, "sample/prompt", index))
    return caption(asked, Draws(numbers.tolist()))


def asked_of_all(count: int, prompts: str) -> Codes:
    """(count, 4)."""
    return np.array([asked_for(index, prompts) for index in range(count)], dtype=np.int64)


def _digit_alone(index: int) -> list[int]:
    return [index % 10, NOTHING, NOTHING, NOTHING]


def _digit_and_looks(index: int) -> list[int]:
    """All digits, then all of another thickness, then all of another slant."""
    rest = index // 10
    return [index % 10, THIRDS[rest % 3], THIRDS[rest // 3 % 3], NOTHING]


def _digit_and_usual_looks(index: int) -> list[int]:
    """Looks as common as in MNIST, as many of them as a caption speaks of; the digit always."""
    numbers = torch.rand(NUMBERS, generator=generator(0, "sample/looks", index)).tolist()
    own = zip(numbers, COMMON, strict=False)
    looks = [sum(number >= end for end in ends) for number, ends in own]
    asked = asked_of([index % 10, *looks], Draws(numbers[len(looks) :]))
    asked[DIGIT] = index % 10
    return asked


PROMPTS: dict[str, Callable[[int], list[int]]] = {
    "digits": _digit_alone,
    "captions": _digit_and_usual_looks,
    "grid": _digit_and_looks,
}
"""Sets of prompts by the name that a cell gives one."""


def load_wishes(folder: Path, conditioning: str, device: torch.device) -> Wishes:
    """How the run in this folder is asked; the text encoder of one that reads lies there."""
    if conditioning != "text":
        return LabelsAsked()
    return PromptsAsked(load_text_encoder(folder).to(device))
