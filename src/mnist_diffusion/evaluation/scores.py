"""Every score of a set of features, and what it is reckoned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from torch import Tensor

from mnist_diffusion.evaluation.estimates import Estimate, Interval, proportion_interval, reach_of
from mnist_diffusion.evaluation.features import JudgedSet
from mnist_diffusion.evaluation.frechet import ReferenceStatistics, distances, fd_infinity
from mnist_diffusion.evaluation.kernels import kernel_distances, meet
from mnist_diffusion.evaluation.prdc import Balls

SPREAD = 0.95
"""How many random sets of real digits score between `low` and `high`."""


@dataclass(frozen=True)
class Real:
    """Real digits under the classifier."""

    statistics: ReferenceStatistics
    """Of all training digits."""
    training: Tensor
    """(m, d) of all training digits."""
    within: Mapping[str, float]
    """By kernel distance: the mean kernel of two training digits."""
    features: Tensor
    """(k, d) of test digits, the same for every sample set of one size."""


def scores(features: Tensor, labels: Tensor, real: Real, seed: int) -> dict[str, float]:
    """fd, relative_fd, fd_infinity, kid, energy, precision, recall, density and coverage."""
    met = meet(features, real.training)
    kernels = kernel_distances(features, labels, met, real.within)
    return {
        **distances(features, real.statistics),
        "fd_infinity": fd_infinity(features, labels, real.statistics, seed).value,
        **{name: found.value for name, found in kernels.items()},
        **likeness(features, real.features),
    }


def likeness(features: Tensor, real: Tensor) -> dict[str, float]:
    """Scores by neighbours against real features (m, d); of the drawn ones the first m."""
    return Balls(real, features[: len(real)]).decisions().scores()


def summary(
    judged: JudgedSet, real: Real, second: ReferenceStatistics, seed: int
) -> dict[str, float]:
    """The scores that calibration puts to the test, against real digits under each extractor.

    Of digits as they come: whatever their labels say, nobody asked for so many of each.
    """
    relative, unasked = distances(judged.second, second)["relative_fd"], judged.labels * 0 - 1
    return {
        **scores(judged.features, unasked, real, seed),
        "second_relative_fd": relative,
        "second_fd_infinity": fd_infinity(judged.second, unasked, second, seed).value,
        "accuracy": float(judged.right.double().mean()),
    }


def likeness_intervals(
    features: Tensor, labels: Tensor, real: Tensor, level: float
) -> tuple[dict[str, float], dict[str, Interval]]:
    """The same, with an interval of each."""
    balls, asked = Balls(real, features[: len(real)]), labels[: len(real)]
    found = balls.decisions()
    values = found.scores()
    shares = {
        key: Estimate(values[key], influences, asked)
        for key, influences in balls.influences().items()
    }
    return values, {
        "precision": proportion_interval(found.precision, level),
        "density": Estimate.mean(found.density, asked).interval(level),
        **{key: _within_shares(one.interval(level)) for key, one in shares.items()},
    }


def _within_shares(interval: Interval) -> Interval:
    return max(0.0, interval[0]), min(1.0, interval[1])


def spread(values: Sequence[float]) -> dict[str, float]:
    """What a score is over several sets: the mean, and what 95 % of such sets lie between.

    By their standard deviation, for the lowest and the highest lie the further apart the more sets
    there are. Of one set both are its score.
    """
    middle = mean(values)
    reach = reach_of(SPREAD) * stdev(values) if len(values) > 1 else 0.0
    return {"mean": middle, "low": middle - reach, "high": middle + reach}
