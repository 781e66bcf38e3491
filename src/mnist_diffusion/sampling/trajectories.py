"""The way to an image, step by step: where it is, and what the denoiser takes it for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from mnist_diffusion.diffusion.samplers import SAMPLERS
from mnist_diffusion.diffusion.spacings import levels
from mnist_diffusion.runtime.seeds import PerImageNoise
from mnist_diffusion.sampling.denoiser import TrainedDenoiser
from mnist_diffusion.settings import ResolvedCell

START = "sample/start"
"""The stream of a sample set's starting noise: image k here begins as image k there."""


def walk(
    denoiser: TrainedDenoiser, cell: ResolvedCell, seed: int, indices: Sequence[int]
) -> Iterator[tuple[Tensor, Tensor]]:
    """(x, x0) after every step, (n, *the space's shape), of a sampler that adds no noise."""
    x = PerImageNoise(seed, START, indices, denoiser.space.shape)().to(denoiser.device)
    denoise = denoiser.conditioned(denoiser.asked(indices, cell), cell)
    path = levels(denoiser.schedule, cell.steps, cell.spacing)
    yield from SAMPLERS[cell.sampler](denoise, x, path, _no_noise, cell.eta)


def _no_noise() -> Tensor:
    raise ValueError("this sampler draws noise, and has no one path to follow")
