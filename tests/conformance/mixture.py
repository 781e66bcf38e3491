"""A Gaussian mixture as the data: every marginal and the best denoiser are known in closed form.

Its images have shape (n, 1, 1, 2). Everything is float64, and takes the noise level from alpha and
sigma alone, never from t, so that levels need not belong to any schedule.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from mnist_diffusion.diffusion.guidance import Denoiser
from mnist_diffusion.diffusion.predictions import PREDICTIONS
from mnist_diffusion.diffusion.schedules import Level

PIXELS = 2


def as_images(vectors: Tensor) -> Tensor:
    """(n, 2) → (n, 1, 1, 2)."""
    return vectors.view(-1, 1, 1, PIXELS)


def normal(count: int, seed: int) -> Tensor:
    """Standard normal noise of the images' shape."""
    generator = Generator().manual_seed(seed)
    return torch.randn(count, 1, 1, PIXELS, generator=generator, dtype=torch.float64)


@dataclass(frozen=True)
class Mixture:
    """x0 ~ sum of weights[k] · N(means[k], covariances[k]); shapes (K,), (K, 2), (K, 2, 2)."""

    weights: Tensor
    means: Tensor
    covariances: Tensor

    def noised(self, at: Level) -> Mixture:
        """The marginal of x_t = alpha·x0 + sigma·eps: again a mixture."""
        noise = at.sigma**2 * torch.eye(PIXELS, dtype=torch.float64)
        return Mixture(self.weights, at.alpha * self.means, at.alpha**2 * self.covariances + noise)

    def denoise(self, x: Tensor, at: Level) -> Tensor:
        """E[x0 | x_t]: each component's Gaussian conditional, by its share of the blame for x_t."""
        noisy = self.noised(at)
        # Images come last, for speed: (K, 2, n).
        offsets = x.view(-1, PIXELS).T - noisy.means[..., None]
        solved = torch.linalg.inv(noisy.covariances) @ offsets
        logits = self.weights.log() - torch.logdet(noisy.covariances) / 2
        blame = (logits[:, None] - (offsets * solved).sum(dim=1) / 2).softmax(dim=0)
        expected = self.means[..., None] + at.alpha * (self.covariances @ solved)
        return (blame[:, None] * expected).sum(dim=0).T.reshape(x.shape)

    def network(self, prediction: str) -> Denoiser:
        """`denoise` by way of the output that a perfect network of this prediction would have."""
        reading = PREDICTIONS[prediction]

        def denoise(x: Tensor, at: Level) -> Tensor:
            x0 = self.denoise(x, at)
            noise = (x - at.alpha * x0) / at.sigma
            return reading.to_x0(reading.target(x0, noise, at), x, at)

        return denoise

    def distribution(self) -> MixtureSameFamily:
        """The same in torch's own words, which share no formula with `denoise`."""
        components = MultivariateNormal(self.means, self.covariances)
        return MixtureSameFamily(Categorical(self.weights), components)

    def draw(self, count: int, seed: int) -> Tensor:
        generator = Generator().manual_seed(seed)
        chosen = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        noise = normal(count, seed + 1).view(count, PIXELS, 1)
        roots = torch.linalg.cholesky(self.covariances)
        return as_images(self.means[chosen] + (roots[chosen] @ noise).squeeze(-1))

    @property
    def mean(self) -> Tensor:
        return self.weights @ self.means

    @property
    def covariance(self) -> Tensor:
        apart = self.means - self.mean
        return torch.einsum("k,kij->ij", self.weights, self.covariances + _outer(apart))

    def standard_errors(self, count: int) -> tuple[Tensor, Tensor]:
        """How far the mean (2,) and the covariance (2, 2) of `count` draws stray from the truth.

        The fourth moments of a Gaussian about any point follow from Isserlis' theorem.
        """
        squares = torch.diagonal(self.covariances, dim1=1, dim2=2)
        apart = self.means - self.mean
        fourth = (
            squares[:, :, None] * squares[:, None, :]
            + 2 * self.covariances**2
            + apart[:, :, None] ** 2 * squares[:, None, :]
            + apart[:, None, :] ** 2 * squares[:, :, None]
            + 4 * _outer(apart) * self.covariances
            + _outer(apart) ** 2
        )
        product_variance = torch.einsum("k,kij->ij", self.weights, fourth) - self.covariance**2
        return (self.covariance.diagonal() / count).sqrt(), (product_variance / count).sqrt()


def _outer(vectors: Tensor) -> Tensor:
    return vectors[:, :, None] * vectors[:, None, :]


def gaussian(mean: list[float], deviation: float) -> Mixture:
    """One component, the same deviation in every direction; 0 makes it a single point."""
    return Mixture(
        torch.ones(1, dtype=torch.float64),
        torch.tensor([mean], dtype=torch.float64),
        deviation**2 * torch.eye(PIXELS, dtype=torch.float64)[None],
    )


THREE_CLUSTERS = Mixture(
    torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64),
    torch.tensor([[-0.6, -0.4], [0.7, 0.1], [0.2, 0.9]], dtype=torch.float64),
    torch.tensor(
        [[[0.06, 0.02], [0.02, 0.04]], [[0.03, -0.02], [-0.02, 0.08]], [[0.02, 0.0], [0.0, 0.02]]],
        dtype=torch.float64,
    ),
)
"""Unequal, tilted, and apart from each other: a single Gaussian would not do."""
