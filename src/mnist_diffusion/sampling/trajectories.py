"""The way to an image, step by step: where it is, and what the denoiser takes it for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from mnist_diffusion.diffusion.samplers import SAMPLERS
from mnist_diffusion.diffusion.spacings import levels
from mnist_diffusion.runtime.seeds import PerImageNoise
from mnist_diffusion.sampling.denoiser import TrainedDenoiser
from mnist_diffusion.sampling.draw import IMAGE, labels_for
from mnist_diffusion.settings import ResolvedCell

START = "sample/start"
"""The stream of a sample set's starting noise: image k here begins as image k there."""


def walk(
    denoiser: TrainedDenoiser, cell: ResolvedCell, seed: int, indices: Sequence[int]
) -> Iterator[tuple[Tensor, Tensor]]:
    """(x, x0) after every step, each (n, 1, 28, 28), of a sampler that adds no noise."""
    x = PerImageNoise(seed, START, indices, IMAGE)().to(denoiser.device)
    asked = labels_for(max(indices) + 1, cell.asks(denoiser.conditioning))
    labels = torch.from_numpy(asked[list(indices)])
    denoise = denoiser.conditioned(labels, cell)
    path = levels(denoiser.schedule, cell.steps, cell.spacing)
    yield from SAMPLERS[cell.sampler](denoise, x, path, _no_noise, cell.eta)


def _no_noise() -> Tensor:
    raise ValueError("this sampler draws noise, and has no one path to follow")
