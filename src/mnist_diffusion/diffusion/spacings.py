"""Which timesteps a sampler visits, when it visits fewer than all."""

from collections.abc import Callable

import numpy as np
import torch

from mnist_diffusion.diffusion.schedules import CLEAN, Level, Schedule

Spacing = Callable[[Schedule, int], list[int]]
"""(schedule, steps) → `steps` different timesteps, falling."""


def trailing(schedule: Schedule, steps: int) -> list[int]:
    """Evenly spaced, the noisiest of all included (Lin et al. 2024, table 2)."""
    count = schedule.timesteps
    return [int(t) - 1 for t in np.round(np.arange(count, 0, -count / steps))][:steps]


def leading(schedule: Schedule, steps: int) -> list[int]:
    """Evenly spaced, the cleanest included: it starts from less noise than the images do.

    The habit of DDIM (Song et al. 2021) and of many libraries; `mnist-diffusion schedules` prints
    the signal that is left there.
    """
    stride = schedule.timesteps // steps
    return [k * stride for k in reversed(range(steps))]


def linspace(schedule: Schedule, steps: int) -> list[int]:
    """Evenly spaced, both ends included (Nichol & Dhariwal 2021, section 4)."""
    return [int(t) for t in np.round(np.linspace(schedule.timesteps - 1, 0, steps))]


def log_snr(schedule: Schedule, steps: int) -> list[int]:
    """Even steps of log-SNR, each at the nearest timestep.

    The default of DPM-Solver's authors (Lu et al. 2022, arXiv 2206.00927) for small images. Where
    steps are finer than timesteps, the next free timestep is taken: the count never changes.
    A level without any signal, at log-SNR minus infinity, is visited first.
    """
    half_log_snr = schedule.level(torch.arange(schedule.timesteps)).half_log_snr.numpy()
    noisiest = int(np.isfinite(half_log_snr).nonzero()[0][-1])
    start = [noisiest + 1] if noisiest + 1 < schedule.timesteps else []
    wanted = np.linspace(half_log_snr[noisiest], half_log_snr[0], steps - len(start))
    nearest = np.abs(half_log_snr[: noisiest + 1, None] - wanted).argmin(axis=0)
    return _distinct([*start, *nearest.tolist()])


def _distinct(falling: list[int]) -> list[int]:
    """Move repeated timesteps to free neighbours: downwards, and up again from below 0."""
    places = np.arange(len(falling))
    downwards = np.minimum.accumulate(np.array(falling) + places) - places
    return [int(t) for t in np.maximum(downwards, places[::-1])]


SPACINGS: dict[str, Spacing] = {
    "trailing": trailing,
    "leading": leading,
    "linspace": linspace,
    "log-snr": log_snr,
}


def levels(schedule: Schedule, steps: int, spacing: str) -> list[Level]:
    """The noise levels a sampler passes, from noise to the clean image: steps + 1 of them."""
    if not 1 <= steps <= schedule.timesteps:
        raise ValueError(f"steps must be between 1 and {schedule.timesteps}, got {steps}")
    return [schedule.level(t) for t in [*SPACINGS[spacing](schedule, steps), CLEAN]]
