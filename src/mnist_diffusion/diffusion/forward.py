"""The forward process: from a clean image towards noise, and one exact step back.

A step leads between any two levels, not only neighbours: a chain of fewer steps is a diffusion in
its own right, with betas of its own.
"""

from torch import Tensor

from mnist_diffusion.diffusion.schedules import Level


def add_noise(x0: Tensor, noise: Tensor, at: Level) -> Tensor:
    """Draw x_t from q(x_t | x_0) in closed form (Ho et al. 2020, eq. 4).

    `x0` and `noise` share one shape (n, c, h, w); the result has it, their dtype and device.
    """
    return at.alpha.to(x0) * x0 + at.sigma.to(x0) * noise


def add_noise_step(x: Tensor, noise: Tensor, beta: Tensor) -> Tensor:
    """Draw x_t from q(x_t | x_{t-1}), one link of the chain (Ho et al. 2020, eq. 2)."""
    return (1 - beta).sqrt().to(x) * x + beta.sqrt().to(x) * noise


def step_beta(noisy: Level, cleaner: Level) -> Tensor:
    """The variance that the step from `cleaner` to `noisy` adds: beta of the respaced chain."""
    return 1 - (noisy.alpha / cleaner.alpha) ** 2


def posterior_std(noisy: Level, cleaner: Level) -> Tensor:
    """Standard deviation of q(x_s | x_t, x_0): sqrt of beta-tilde (Ho et al. 2020, eq. 7)."""
    return step_beta(noisy, cleaner).sqrt() * cleaner.sigma / noisy.sigma


def posterior_mean(x0: Tensor, x_t: Tensor, noisy: Level, cleaner: Level) -> Tensor:
    """Mean of q(x_s | x_t, x_0), x_t at `noisy` and x_s at `cleaner` (Ho et al. 2020, eq. 7)."""
    x0_factor = cleaner.alpha * step_beta(noisy, cleaner) / noisy.sigma**2
    x_factor = (noisy.alpha / cleaner.alpha) * (cleaner.sigma / noisy.sigma) ** 2
    return x0_factor.to(x_t) * x0 + x_factor.to(x_t) * x_t
