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

import torch
from scipy.stats import binomtest, norm
from torch import Tensor

from mnist_diffusion.runtime.seeds import generator

Interval = tuple[float, float]


def counts(n: int, resamples: int, seed: int) -> Tensor:
    """How often each of n images is in each resample of n: (resamples, n) int64.

    The same for every set of n images, so that comparisons of two sets are paired.
    """
    chosen = torch.randint(n, (resamples, n), generator=generator(seed, "evaluate/bootstrap"))
    return torch.zeros_like(chosen).scatter_add_(1, chosen, torch.ones_like(chosen))


def resampled(estimate: float, influences: Tensor, counts: Tensor) -> Tensor:
    """A score's resamples (b,) to first order, by influences (n,) of mean 0 and counts (b, n)."""
    return estimate + counts.double() @ influences.double() / len(influences)


def normal_interval(estimate: float, resampled: Tensor, level: float) -> Interval:
    """The estimate ± so many standard errors, each the standard deviation of resampled (b,)."""
    reach = float(norm.ppf((1 + level) / 2)) * float(resampled.std())
    return estimate - reach, estimate + reach


def mean_interval(values: Tensor, counts: Tensor, level: float) -> Interval:
    """Of the mean of values (n,), by counts (b, n)."""
    mean = float(values.double().mean())
    return normal_interval(mean, resampled(mean, values.double() - mean, counts), level)


def share_interval(share: float, influences: Tensor, counts: Tensor, level: float) -> Interval:
    """Of a share that is no mean over images, by influences (n,), counts (b, n); within 0 … 1."""
    low, high = normal_interval(share, resampled(share, influences, counts), level)
    return max(0.0, low), min(1.0, high)


def proportion_interval(right: Tensor, level: float) -> Interval:
    """Wilson's interval of the share of `right` (n,) bool, which is good near 0 and 1 too."""
    interval = binomtest(int(right.sum()), len(right)).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)
