"""Estimates with their standard errors: how far a score would move had other images been drawn.

What the images are compared with is held fixed. To first order a score is a mean of its images'
influences, so that its standard error is a formula (Efron 1982, The Jackknife, the Bootstrap and
Other Resampling Plans) and nothing is resampled. Where digits are asked for, each is drawn a fixed
number of times: what differs between digits is then no luck, and the error is that of a stratified
mean, sqrt(sum_c n_c s_c²) / n (Cochran 1977, Sampling Techniques, chapter 5), with
s_c² the variance of the influences within digit c. Tests measure how often such intervals hold the
true value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from scipy.stats import binomtest, norm
from torch import Tensor

from mnist_diffusion.runtime.seeds import generator

Interval = tuple[float, float]
PARTINGS = 2
"""In how many ways a set is parted in halves."""


@dataclass(frozen=True)
class Estimate:
    """A score of n images, and to first order how each of them moves it."""

    value: float
    influences: Tensor
    """(n,) float64 of mean 0: the derivative of `value` by an image's weight, times n."""
    labels: Tensor
    """(n,) the digits asked for, one and the same where none were: the strata."""
    doubt: float = 0.0
    """Its error beside the luck of its images: bias that may be left, one standard error."""

    @classmethod
    def mean(cls, values: Tensor, labels: Tensor) -> Estimate:
        """Of the mean of values (n,)."""
        mean = values.double().mean()
        return cls(float(mean), values.double() - mean, labels)

    @classmethod
    def ratio(cls, parts: Tensor, wholes: Tensor, labels: Tensor) -> Estimate:
        """Of the sum of parts (n,) over the sum of wholes (n,); 0 where there is nothing whole."""
        parts, wholes = parts.double(), wholes.double()
        mean = wholes.mean()
        if mean == 0:
            return cls(0.0, torch.zeros_like(wholes), labels)
        ratio = parts.mean() / mean
        return cls(float(ratio), (parts - ratio * wholes) / mean, labels)

    def scaled(self, factor: float) -> Estimate:
        """So many times the score."""
        doubt = abs(factor) * self.doubt
        return Estimate(factor * self.value, factor * self.influences, self.labels, doubt)

    def less(self, other: Estimate) -> Estimate:
        """The difference of two scores of which image k began as the same noise.

        Of the influences and doubts too: what both share, cancels.
        """
        apart, doubt = self.influences - other.influences, abs(self.doubt - other.doubt)
        return Estimate(self.value - other.value, apart, self.labels, doubt)

    @cached_property
    def contributions(self) -> Tensor:
        """(n,) float64: their squares sum to the squared error, but for the doubt.

        The products of two estimates' contributions, image by image, sum to their covariance.
        """
        return _within_strata(self.influences, self.labels) / len(self.influences)

    @property
    def error(self) -> float:
        """The standard error."""
        return float((self.contributions.square().sum() + self.doubt**2).sqrt())

    def interval(self, level: float) -> Interval:
        """The value ± as many standard errors as hold the truth so often."""
        reach = reach_of(level) * self.error
        return self.value - reach, self.value + reach


def reach_of(level: float) -> float:
    """How many standard errors hold a normal value with this probability, to either side."""
    return float(norm.ppf((1 + level) / 2))


def _within_strata(values: Tensor, labels: Tensor) -> Tensor:
    """Values (n,) from the mean of their stratum, times sqrt(n_c / (n_c - 1)).

    A stratum of one image tells nothing of its spread: where there is any, all images are one.
    """
    _, strata, sizes = torch.unique(labels, return_inverse=True, return_counts=True)
    if int(sizes.min()) < 2:
        strata, sizes = torch.zeros_like(strata), torch.tensor([max(2, len(values))])
    sums = torch.zeros(len(sizes), dtype=torch.float64).index_add_(0, strata, values.double())
    means, widening = sums / sizes, (sizes.double() / (sizes - 1)).sqrt()
    return (values.double() - means[strata]) * widening[strata]


def halves(labels: Tensor, seed: int) -> Sequence[Tensor]:
    """Indices of the four halves of a set that is parted in two in two ways at random.

    By label (n,): each half has half of each digit, give or take one. Sets that were asked for the
    same digits are parted alike, so that differences of what is reckoned from halves are paired.
    """
    found: list[Tensor] = []
    for parting in range(PARTINGS):
        order = torch.randperm(len(labels), generator=generator(seed, "evaluate/halves", parting))
        by_label = order[labels[order].argsort(stable=True)]
        found += [by_label[0::2], by_label[1::2]]
    return found


def proportion_interval(right: Tensor, level: float) -> Interval:
    """Wilson's interval of the share of `right` (n,) bool, which is good near 0 and 1 too.

    It knows of no strata: where shares differ by digit it is a little wider than need be.
    """
    interval = binomtest(int(right.sum()), len(right)).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)
