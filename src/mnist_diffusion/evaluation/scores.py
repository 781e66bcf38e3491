"""Every score of a set of features, and the intervals of those scores."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from mnist_diffusion.evaluation.bootstrap import Estimate, Interval, proportion_interval
from mnist_diffusion.evaluation.features import JudgedSet
from mnist_diffusion.evaluation.frechet import ReferenceStatistics, distances
from mnist_diffusion.evaluation.kid import kernel_distance, kernel_estimate
from mnist_diffusion.evaluation.prdc import decisions, prdc_influences


@dataclass(frozen=True)
class Real:
    """Real digits under one feature extractor."""

    statistics: ReferenceStatistics
    """Of all training digits."""
    features: Tensor
    """(m, d) of test digits, the same for every sample set of one size."""


def scores(features: Tensor, real: Real) -> dict[str, float]:
    """fd, relative_fd, kid, precision, recall, density and coverage of features (n, d)."""
    return {**distances(features, real.statistics), **likeness(features, real.features)}


def likeness(features: Tensor, real: Tensor) -> dict[str, float]:
    """Scores against real features (m, d), image by image; of the drawn ones the first m."""
    drawn = features[: len(real)]
    return {"kid": kernel_distance(real, drawn), **decisions(real, drawn).scores()}


def summary(judged: JudgedSet, real: Real, second: Real) -> dict[str, float]:
    """The scores that calibration puts to the test, against real digits under each extractor."""
    return {
        **scores(judged.features, real),
        "second_relative_fd": distances(judged.second, second.statistics)["relative_fd"],
        "accuracy": float(judged.right.double().mean()),
    }


def likeness_intervals(
    features: Tensor, real: Tensor, counts: Tensor, level: float
) -> dict[str, Interval]:
    """Of kid, precision, recall, density and coverage; counts (b, m)."""
    drawn = features[: len(real)]
    found = decisions(real, drawn)
    shares = {
        key: Estimate(float(getattr(found, key).double().mean()), influences)
        for key, influences in prdc_influences(real, drawn).items()
    }
    return {
        "kid": kernel_estimate(real, drawn).interval(counts, level),
        "precision": proportion_interval(found.precision, level),
        "density": Estimate.mean(found.density).interval(counts, level),
        **{key: _within_shares(one.interval(counts, level)) for key, one in shares.items()},
    }


def _within_shares(interval: Interval) -> Interval:
    return max(0.0, interval[0]), min(1.0, interval[1])


def spread(values: Sequence[float]) -> dict[str, float]:
    """What a score is over several sets: mean, lowest and highest."""
    return {"mean": sum(values) / len(values), "low": min(values), "high": max(values)}
