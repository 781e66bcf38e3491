"""Intervals over images: how a score would move had other images been drawn.

What the images are compared with is held fixed, and so is their number: an interval is for the
score that as many images have on average. Where a score is no mean over images, it is resampled to
first order, as the estimate plus the mean of the resampled images' influences on it (Efron 1982,
The Jackknife, the Bootstrap and Other Resampling Plans, chapter 6). A resample of the score itself
has images twice: a Fréchet or kernel distance then lies above the estimate, as that of too few
images does, and its quantiles miss the truth more often than not; even its spread is too wide near
the real-vs-real baseline. Tests measure how often intervals hold the truth: in 90 to 98 per cent at
a level of 95, and more often at that baseline, where they are wider than need be.
"""

from dataclasses import dataclass

import torch
from scipy.stats import binomtest, norm
from torch import Tensor

from mnist_diffusion.runtime.seeds import generator

Interval = tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """A score of n images, and to first order how each of them moves it."""

    raw: float
    influences: Tensor
    """(n,) of mean 0: the derivative of `raw` by an image's weight."""
    unit: float = 1.0
    """What the score is a multiple of."""

    @classmethod
    def mean(cls, values: Tensor) -> "Estimate":
        """Of the mean of values (n,)."""
        mean = float(values.double().mean())
        return cls(mean, values.double() - mean)

    @property
    def value(self) -> float:
        return self.raw / self.unit

    def resampled(self, counts: Tensor) -> Tensor:
        """The score of each resample, (b,), by counts (b, n)."""
        moved = counts.double() @ self.influences.double() / len(self.influences)
        return (self.raw + moved) / self.unit

    def interval(self, counts: Tensor, level: float) -> Interval:
        """The value ± so many standard errors."""
        return normal_interval(self.value, self.resampled(counts), level)


def counts(n: int, resamples: int, seed: int) -> Tensor:
    """How often each of n images is in each resample of n: (resamples, n) int64.

    The same for every set of n images, so that comparisons of two sets are paired.
    """
    chosen = torch.randint(n, (resamples, n), generator=generator(seed, "evaluate/bootstrap"))
    return torch.zeros_like(chosen).scatter_add_(1, chosen, torch.ones_like(chosen))


def normal_interval(value: float, resampled: Tensor, level: float) -> Interval:
    """The value ± so many standard errors, each the standard deviation of resampled (b,)."""
    reach = float(norm.ppf((1 + level) / 2)) * float(resampled.std())
    return value - reach, value + reach


def proportion_interval(right: Tensor, level: float) -> Interval:
    """Wilson's interval of the share of `right` (n,) bool, which is good near 0 and 1 too."""
    interval = binomtest(int(right.sum()), len(right)).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)
