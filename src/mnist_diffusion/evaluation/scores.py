"""Every score of a set of features, and the intervals of those scores."""

from torch import Tensor

from mnist_diffusion.evaluation.bootstrap import (
    Interval,
    mean_interval,
    normal_interval,
    proportion_interval,
    share_interval,
)
from mnist_diffusion.evaluation.distances import (
    ReferenceStatistics,
    frechet_distance,
    relative_distance,
    resampled_distances,
)
from mnist_diffusion.evaluation.kernel import kernel_distance, resampled_kernel_distances
from mnist_diffusion.evaluation.neighbours import decisions, influences
from mnist_diffusion.evaluation.real import Real

FEWEST = 2
"""Fewer images have no covariance."""


def scores(features: Tensor, real: Real) -> dict[str, float]:
    """fd, relative_fd, kid, precision, recall, density and coverage of features (n, d)."""
    return {**distances(features, real.statistics), **likeness(features, real.features)}


def distances(features: Tensor, statistics: ReferenceStatistics) -> dict[str, float]:
    """The Fréchet distance of features (n, d), as it is and relative."""
    distance = frechet_distance(statistics, features)
    return {"fd": distance, "relative_fd": relative_distance(distance, statistics)}


def likeness(features: Tensor, real: Tensor) -> dict[str, float]:
    """Scores against real features (m, d), image by image; of the drawn ones the first m."""
    drawn = features[: len(real)]
    return {"kid": kernel_distance(real, drawn), **decisions(real, drawn).scores()}


def per_class(
    features: Tensor, labels: Tensor, classes: dict[str, ReferenceStatistics]
) -> dict[str, float | None]:
    """Relative FD of the images of each digit, by labels (n,); null where there are too few.

    Few images are far from their own law, so it is to be read beside the floor for as few.
    """
    found: dict[str, float | None] = {}
    for digit, statistics in classes.items():
        chosen = features[labels == int(digit)]
        enough = len(chosen) >= FEWEST
        found[digit] = distances(chosen, statistics)["relative_fd"] if enough else None
    return found


def relative_interval(
    features: Tensor, statistics: ReferenceStatistics, counts: Tensor, level: float
) -> Interval:
    """Of the relative Fréchet distance of features (n, d); counts (b, n)."""
    estimate = distances(features, statistics)["relative_fd"]
    resampled = resampled_distances(statistics, features, counts) / statistics.trace
    return normal_interval(estimate, resampled, level)


def likeness_intervals(
    features: Tensor, real: Tensor, counts: Tensor, level: float
) -> dict[str, Interval]:
    """Of kid, precision, recall, density and coverage; counts (b, m)."""
    drawn = features[: len(real)]
    found = decisions(real, drawn)
    influenced = influences(real, drawn)
    kernel = resampled_kernel_distances(real, drawn, counts)
    return {
        "kid": normal_interval(kernel_distance(real, drawn), kernel, level),
        "precision": proportion_interval(found.precision, level),
        "density": mean_interval(found.density, counts, level),
        **{
            key: share_interval(float(getattr(found, key).double().mean()), values, counts, level)
            for key, values in influenced.items()
        },
    }
