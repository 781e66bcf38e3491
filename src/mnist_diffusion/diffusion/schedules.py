"""Noise schedules: how much signal and how much noise is left at each timestep.

A schedule *is* its betas (float64). Names mislead: what one library calls "linear" another calls
"sqrt_linear", so checkpoints store the array and never the name alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

CLEAN = -1
"""The timestep of an image that carries no noise at all."""


@dataclass(frozen=True)
class Level:
    """Noise level x_t = alpha·x_0 + sigma·eps, with alpha² + sigma² = 1.

    `alpha` and `sigma` broadcast against images: scalars while sampling, (n, 1, 1, 1) in training.
    `t` is the integer timestep the network was trained with, scalar or (n,).
    """

    t: Tensor
    alpha: Tensor
    sigma: Tensor

    @property
    def snr(self) -> Tensor:
        """Signal-to-noise ratio alpha² / sigma² (Kingma et al. 2021)."""
        return (self.alpha / self.sigma) ** 2

    @property
    def half_log_snr(self) -> Tensor:
        """lambda = log(alpha / sigma), the time of DPM-Solver (Lu et al. 2022)."""
        return torch.log(self.alpha) - torch.log(self.sigma)


@dataclass(frozen=True)
class Schedule:
    """A discrete variance-preserving schedule (Ho et al. 2020, eq. 2 and 4)."""

    betas: Tensor
    """Shape (T,), float64; betas[t] is the variance added by step t."""

    def __post_init__(self) -> None:
        if self.betas.dtype != torch.float64 or self.betas.ndim != 1:
            raise ValueError("betas must be a float64 vector")
        inner = self.betas[:-1]
        if not bool((self.betas > 0).all() and (inner < 1).all() and self.betas[-1] <= 1):
            raise ValueError("every beta must lie strictly between 0 and 1; the last may be 1")

    @property
    def timesteps(self) -> int:
        return len(self.betas)

    @cached_property
    def alphas_bar(self) -> Tensor:
        """Squared signal level after each step: the cumulative product of 1 - beta."""
        return torch.cumprod(1 - self.betas, dim=0)

    def level(self, t: Tensor | int) -> Level:
        """The noise level of timestep(s) t in [-1, T); t = -1 is the clean image.

        IndexError for others: an index that wraps around would give another level in silence.
        """
        t = torch.as_tensor(t)
        if bool(((t < CLEAN) | (t >= self.timesteps)).any()):
            raise IndexError(f"timesteps are {CLEAN} to {self.timesteps - 1}, got {t}")
        alpha_bar = torch.cat([self.alphas_bar, torch.ones(1, dtype=torch.float64)])[t]
        return Level(t, alpha_bar.sqrt(), (1 - alpha_bar).sqrt())

    def card(self) -> dict[str, float | int | None]:
        """What a reader needs to tell this schedule from another of the same name.

        Log-SNR is the natural logarithm of alpha² / sigma²; its lower end is None where no signal
        is left at all.
        """
        snr = self.level(torch.arange(self.timesteps)).snr
        return {
            "timesteps": self.timesteps,
            "alpha_bar_first": float(self.alphas_bar[0]),
            "alpha_bar_last": float(self.alphas_bar[-1]),
            "log_snr_max": float(snr[0].log()),
            "log_snr_min": float(snr[-1].log()) if snr[-1] > 0 else None,
            "t_where_snr_is_1": int((snr - 1).abs().argmin()),
        }


def linear(timesteps: int) -> Schedule:
    """Betas from 1e-4 to 0.02 at T = 1000, scaled so that other T end as noisy (Ho et al. 2020)."""
    scale = 1000 / timesteps
    return Schedule(torch.linspace(1e-4 * scale, 0.02 * scale, timesteps, dtype=torch.float64))


def quadratic(timesteps: int) -> Schedule:
    """Square roots of the betas evenly spaced, same ends as linear ("quad", Ho et al. 2020)."""
    roots = torch.linspace(1e-4**0.5, 0.02**0.5, timesteps, dtype=torch.float64)
    return Schedule(roots**2 * (1000 / timesteps))


def cosine(timesteps: int, offset: float = 0.008, largest_beta: float = 0.999) -> Schedule:
    """Betas under which alpha_bar falls as a squared cosine (Nichol & Dhariwal 2021, eq. 17)."""
    time = torch.linspace(0, 1, timesteps + 1, dtype=torch.float64)
    alphas_bar = torch.cos((time + offset) / (1 + offset) * torch.pi / 2) ** 2
    return Schedule((1 - alphas_bar[1:] / alphas_bar[:-1]).clamp(max=largest_beta))


def rectified_flow(timesteps: int) -> Schedule:
    """Log-SNR as on the straight path x_t = (1 - t) x0 + t eps (Liu et al. 2023).

    That path over sqrt((1 - t)² + t²) keeps the variance, and a step of DDIM is an Euler step of
    the flow (Esser et al. 2024). Timesteps are the midpoints of T equal slices of (0, 1):
    at t = 1 no signal would be left, which `zero_terminal_snr` asks for on any schedule.
    """
    time = (torch.arange(timesteps, dtype=torch.float64) + 0.5) / timesteps
    alphas_bar = (1 - time) ** 2 / ((1 - time) ** 2 + time**2)
    before = torch.cat([torch.ones(1, dtype=torch.float64), alphas_bar[:-1]])
    return Schedule(1 - alphas_bar / before)


def zero_terminal_snr(schedule: Schedule) -> Schedule:
    """Shift and stretch sqrt(alpha_bar) so that no signal is left at T-1 (Lin et al. 2024, alg. 1).

    The first level stays as it is. Needs an output read as v or x0: epsilon tells nothing of the
    image where alpha is 0.
    """
    signal = schedule.alphas_bar.sqrt()
    signal = (signal - signal[-1]) * signal[0] / (signal[0] - signal[-1])
    before = torch.cat([torch.ones(1, dtype=torch.float64), signal[:-1]])
    return Schedule(1 - (signal / before) ** 2)


SCHEDULES: dict[str, Callable[[int], Schedule]] = {
    "linear": linear,
    "cosine": cosine,
    "quadratic": quadratic,
    "rectified-flow": rectified_flow,
}
