"""Timesteps: which ones a training batch sees, and which ones a sampler visits."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Generator, Tensor

from mnist_diffusion.diffusion.schedules import CLEAN, Level, Schedule


def uniform(count: int, timesteps: int, generator: Generator) -> Tensor:
    """Independent draws from 0 … T-1; shape (count,), int64."""
    return torch.randint(timesteps, (count,), generator=generator)


def stratified(count: int, timesteps: int, generator: Generator) -> Tensor:
    """One draw from each of `count` equal slices of 0 … T-1, so that a batch covers them all.

    Every timestep stays equally likely; only the variance of the batch's loss falls
    (Kingma et al. 2021, appendix I.1). Shape (count,), int64, in the order of the slices: batches
    are shuffled, so the order carries nothing.
    """
    offset = torch.rand(1, generator=generator, dtype=torch.float64)
    position = (torch.arange(count, dtype=torch.float64) + offset) / count
    return (position * timesteps).long().clamp(max=timesteps - 1)


TIMESTEP_SAMPLERS: dict[str, Callable[[int, int, Generator], Tensor]] = {
    "uniform": uniform,
    "stratified": stratified,
}


def trailing(timesteps: int, steps: int) -> list[int]:
    """`steps` timesteps from T-1 downwards, evenly spaced (Lin et al. 2024, table 2)."""
    return [int(t) - 1 for t in np.round(np.arange(timesteps, 0, -timesteps / steps))][:steps]


def levels(schedule: Schedule, steps: int) -> list[Level]:
    """The noise levels a sampler passes, from noise to the clean image: steps + 1 of them."""
    if not 1 <= steps <= schedule.timesteps:
        raise ValueError(f"steps must be between 1 and {schedule.timesteps}, got {steps}")
    return [schedule.level(t) for t in [*trailing(schedule.timesteps, steps), CLEAN]]
