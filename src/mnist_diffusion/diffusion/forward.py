"""The forward process: from a clean image towards noise."""

from torch import Tensor

from mnist_diffusion.diffusion.schedules import Level


def add_noise(x0: Tensor, noise: Tensor, at: Level) -> Tensor:
    """Draw x_t from q(x_t | x_0) in closed form (Ho et al. 2020, eq. 4).

    `x0` and `noise` share one shape (n, c, h, w); the result has it and their dtype.
    """
    return at.alpha.to(x0.dtype) * x0 + at.sigma.to(x0.dtype) * noise


def add_noise_step(x: Tensor, noise: Tensor, beta: Tensor) -> Tensor:
    """Draw x_t from q(x_t | x_{t-1}), one link of the chain (Ho et al. 2020, eq. 2)."""
    return (1 - beta).sqrt().to(x.dtype) * x + beta.sqrt().to(x.dtype) * noise
