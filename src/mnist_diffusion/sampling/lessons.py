"""Paths of a guided denoiser, for students to learn from."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mnist_diffusion.sampling.denoiser import TrainedDenoiser
from mnist_diffusion.sampling.draw import start, walk
from mnist_diffusion.settings import ResolvedCell


@torch.no_grad()
def lesson(
    denoiser: TrainedDenoiser, cell: ResolvedCell, seed: int, indices: Sequence[int], points: int
) -> Tensor:
    """Where paths are at so many points, evenly along them, and at their end, on the CPU.

    (n, points + 1, *the space's shape), the starting noise first; `points` divides the steps.
    """
    noise = start(denoiser, seed, indices)
    states = [noise, *(x for x, _ in walk(denoiser, cell, seed, indices, noise))]
    return torch.stack(states[:: cell.steps // points], dim=1).cpu()
