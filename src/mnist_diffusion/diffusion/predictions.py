"""What the network's output stands for: epsilon, x0 or v.

A prediction is a pair of inverses. Everything downstream speaks x0, so samplers, guidance and
losses are written once.
"""

from typing import Protocol

import torch
from torch import Tensor

from mnist_diffusion.diffusion.schedules import Level


class Prediction(Protocol):
    """Maps between the network's output and the clean image at one noise level."""

    def target(self, x0: Tensor, noise: Tensor, at: Level) -> Tensor:
        """What a perfect network would put out."""
        ...

    def to_x0(self, output: Tensor, x_t: Tensor, at: Level) -> Tensor:
        """The clean image that an output implies."""
        ...

    def velocity_factor(self, at: Level) -> Tensor:
        """The c in |error of v| = c · |error of the output|: errors of v compare at all levels."""
        ...


class Epsilon:
    """The output is the noise (Ho et al. 2020); it tells nothing where alpha is 0."""

    def target(self, x0: Tensor, noise: Tensor, at: Level) -> Tensor:
        return noise

    def to_x0(self, output: Tensor, x_t: Tensor, at: Level) -> Tensor:
        return (x_t - at.sigma.to(x_t) * output) / at.alpha.to(x_t)

    def velocity_factor(self, at: Level) -> Tensor:
        return 1 / at.alpha


class Sample:
    """The output is the clean image."""

    def target(self, x0: Tensor, noise: Tensor, at: Level) -> Tensor:
        return x0

    def to_x0(self, output: Tensor, x_t: Tensor, at: Level) -> Tensor:
        return output

    def velocity_factor(self, at: Level) -> Tensor:
        return 1 / at.sigma


class Velocity:
    """The output is v = alpha·eps - sigma·x0 (Salimans & Ho 2022, appendix D)."""

    def target(self, x0: Tensor, noise: Tensor, at: Level) -> Tensor:
        return at.alpha.to(x0) * noise - at.sigma.to(x0) * x0

    def to_x0(self, output: Tensor, x_t: Tensor, at: Level) -> Tensor:
        return at.alpha.to(x_t) * x_t - at.sigma.to(x_t) * output

    def velocity_factor(self, at: Level) -> Tensor:
        return torch.ones_like(at.alpha)


PREDICTIONS: dict[str, Prediction] = {"epsilon": Epsilon(), "x0": Sample(), "v": Velocity()}


def to_epsilon(x0: Tensor, x_t: Tensor, at: Level) -> Tensor:
    """The noise that a clean image implies: the inverse of the forward process."""
    return (x_t - at.alpha.to(x_t) * x0) / at.sigma.to(x_t)
