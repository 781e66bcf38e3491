"""Fréchet distance on the classifier's features.

Never to be compared with Inception FID, nor with a distance under another classifier: that is why
every judgement carries the classifier's digest. The relative distance only takes away the features'
scale; a classifier that looks at other things still sees other distances.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from mnist_diffusion.evaluation.bootstrap import Estimate
from mnist_diffusion.runtime.errors import UserError

FEWEST = 2
"""Fewer images have no covariance."""


class _Features(nn.Identity):
    """Stands where torchmetrics expects an Inception network: features go in and come out."""

    def __init__(self, width: int):
        super().__init__()
        self.num_features = width


@dataclass(frozen=True)
class ReferenceStatistics:
    """Mean and covariance of the real training digits' features."""

    mean: Tensor
    """(d,) float64"""
    covariance: Tensor
    """(d, d) float64, unbiased"""
    count: int

    @classmethod
    def of(cls, features: Tensor) -> "ReferenceStatistics":
        """The statistics of features (n, d)."""
        features = features.double()
        return cls(features.mean(dim=0), torch.cov(features.T), len(features))

    @property
    def trace(self) -> float:
        """Total variance of the real features: the unit of the relative distance."""
        return float(self.covariance.trace())


def frechet_distance(reference: ReferenceStatistics, features: Tensor) -> float:
    """|mu - mu'|² + tr(C + C' - 2 (C C')^½) (Dowson & Landau 1982) for features (n, d), n >= 2.

    Rounding can leave a set's distance to itself just below 0; it is then 0.
    """
    metric = FrechetInceptionDistance(feature=_Features(features.shape[1]))
    metric.set_dtype(torch.float64)
    n, mean = reference.count, reference.mean
    metric.real_features_sum = mean * n
    metric.real_features_cov_sum = reference.covariance * (n - 1) + n * torch.outer(mean, mean)
    metric.real_features_num_samples = torch.tensor(n)
    metric.update(features.double(), real=False)
    distance = float(metric.compute())
    if not math.isfinite(distance):
        raise UserError("fd: not a finite number; look at the images, and at the classifier")
    return max(0.0, distance)


def distances(features: Tensor, statistics: ReferenceStatistics) -> dict[str, float]:
    """The Fréchet distance of features (n, d), and as a fraction of the real features' variance."""
    distance = frechet_distance(statistics, features)
    return {"fd": distance, "relative_fd": distance / statistics.trace}


def per_class(
    features: Tensor, labels: Tensor, classes: dict[str, ReferenceStatistics]
) -> dict[str, float | None]:
    """Relative FD of the images of each digit, by labels (n,); null where there are too few.

    Few images are far from their own law, so it is to be read beside the baseline for as few.
    """
    found: dict[str, float | None] = {}
    for digit, statistics in classes.items():
        chosen = features[labels == int(digit)]
        enough = len(chosen) >= FEWEST
        found[digit] = distances(chosen, statistics)["relative_fd"] if enough else None
    return found


def relative_fd(features: Tensor, reference: ReferenceStatistics) -> Estimate:
    """The relative distance of features (n, d), with their influences.

    The derivative of the distance by an image's weight: 2 z·(mu' - mu) + |z|² - z·T z for z from
    the mean of the set, T = S (S C' S)^-½ S and S = C^½; less its mean, which is then 0.
    """
    distance = frechet_distance(reference, features)
    features = features.double()
    mean = features.mean(dim=0)
    z = features - mean
    root = _power(reference.covariance, 0.5)
    transport = root @ _power(root @ torch.cov(features.T) @ root, -0.5) @ root
    values = 2 * z @ (mean - reference.mean) + z.square().sum(dim=1) - ((z @ transport) * z).sum(1)
    return Estimate(distance, values - values.mean(), unit=reference.trace)


def _power(matrix: Tensor, exponent: float) -> Tensor:
    """Of a symmetric matrix that is nowhere negative; what is 0 stays 0."""
    values, vectors = torch.linalg.eigh(matrix)
    there = values > values.max() * len(values) * torch.finfo(values.dtype).eps
    powers = torch.where(there, values, 1.0) ** exponent * there
    return (vectors * powers) @ vectors.T
