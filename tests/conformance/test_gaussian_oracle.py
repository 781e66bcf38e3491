"""Samplers on Gaussian data, where the exact denoiser and the exact solution are known.

For x0 ~ N(m, s²) the posterior mean of x0 given x_t is linear in x_t, and the probability-flow ODE
keeps (x_t - alpha·m) / sqrt(alpha²·s² + sigma²) constant.
"""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from mnist_diffusion.diffusion.samplers import SAMPLERS
from mnist_diffusion.diffusion.schedules import SCHEDULES, Level
from mnist_diffusion.diffusion.timesteps import levels

MEAN, DEVIATION = 0.4, 0.5


def spread(at: Level) -> Tensor:
    """The standard deviation of x_t."""
    return (at.alpha**2 * DEVIATION**2 + at.sigma**2).sqrt()


def exact(x: Tensor, at: Level) -> Tensor:
    gain = at.alpha * DEVIATION**2 / spread(at) ** 2
    return MEAN + gain * (x - at.alpha * MEAN)


def log_snr_levels(steps: int, first: float = -5.0, last: float = 3.0) -> list[Level]:
    """Evenly spaced in half-log-SNR, and not down to the clean image: all steps of full order."""
    half_log_snr = torch.linspace(first, last, steps + 1, dtype=torch.float64)
    alpha = torch.sigmoid(2 * half_log_snr).sqrt()
    sigma = torch.sigmoid(-2 * half_log_snr).sqrt()
    return [Level(torch.tensor(0), a, s) for a, s in zip(alpha, sigma, strict=True)]


def walk(sampler: str, x: Tensor, path: Sequence[Level], eta: float, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)

    def noise() -> Tensor:
        return torch.randn(x.shape, generator=generator, dtype=x.dtype)

    *_, (end, _) = SAMPLERS[sampler](exact, x, path, noise, eta)
    return end


@pytest.mark.parametrize(("sampler", "order"), [("ddim", 1), ("dpm-solver", 2)])
def test_the_error_falls_with_the_order_of_the_solver(sampler: str, order: int) -> None:
    start = torch.linspace(-2, 2, 9, dtype=torch.float64)
    errors = []
    step_counts = [16, 32, 64, 128, 256]
    for steps in step_counts:
        path = log_snr_levels(steps)
        scale = spread(path[-1]) / spread(path[0])
        solution = path[-1].alpha * MEAN + scale * (start - path[0].alpha * MEAN)
        errors.append(float((walk(sampler, start, path, 0.0) - solution).abs().max()))
    slope = -np.polyfit(np.log(step_counts), np.log(errors), 1)[0]
    assert slope == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("sampler", "eta"), [("ddpm", 1.0), ("ddim", 0.0), ("dpm-solver", 0.0)])
def test_samples_have_the_moments_of_the_data(schedule: str, sampler: str, eta: float) -> None:
    """Quadratic keeps some signal at T, so starting from pure noise biases it: the wider bounds."""
    generator = torch.Generator().manual_seed(1)
    start = torch.randn(40_000, generator=generator, dtype=torch.float64)
    steps = 50 if sampler == "dpm-solver" else 500  # the others are of order 1
    drawn = walk(sampler, start, levels(SCHEDULES[schedule](1000), steps), eta)
    loose = 3 if schedule == "quadratic" else 1
    assert float(drawn.mean()) == pytest.approx(MEAN, abs=0.012 * loose)
    assert float(drawn.std()) == pytest.approx(DEVIATION, rel=0.03 * loose)


def test_full_eta_is_ancestral_sampling() -> None:
    """DDIM with eta = 1 and DDPM are one update, written twice (Song et al. 2021, section 4.1)."""
    start = torch.randn(50, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    path = levels(SCHEDULES["cosine"](1000), 100)
    torch.testing.assert_close(walk("ddim", start, path, 1.0), walk("ddpm", start, path, 1.0))
