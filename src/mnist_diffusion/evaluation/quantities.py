"""A measured quantity with its error: intervals, p-values, verdicts. No torch.

Verdict and interval never contradict one another: a verdict is where the interval lies, and for a
family of claims the intervals are those that go with Holm's step-down test.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from mnist_diffusion.provenance.schemas.cell_reports import Verdict
from mnist_diffusion.provenance.schemas.claim_reports import Finding, Relation


@dataclass(frozen=True)
class Quantity:
    """An estimate, its standard error, and how well that error is known."""

    estimate: float
    error: float
    df: float = math.inf
    """Degrees of freedom of the error; infinite where it comes from many images."""

    def interval(self, level: float) -> tuple[float, float]:
        """The estimate ± so many standard errors, by Student's t."""
        return self.around(float(student.ppf((1 + level) / 2, self.df)))

    def around(self, reach: float) -> tuple[float, float]:
        """The estimate ± so many standard errors."""
        return self.estimate - reach * self.error, self.estimate + reach * self.error

    def p(self, bound: float) -> float:
        """Two-sided, of an estimate this far from a bound if the truth were the bound."""
        away = abs(self.estimate - bound)
        if self.error == 0:
            return float(away == 0)
        return float(2 * student.sf(away / self.error, self.df))

    def scaled(self, factor: float) -> Quantity:
        """In other units."""
        return Quantity(factor * self.estimate, abs(factor) * self.error, self.df)

    def over(self, other: Quantity) -> Quantity:
        """What it has more, as a share of the other, both measured independently."""
        ratio = self.estimate / other.estimate
        error = math.hypot(self.error, ratio * other.error) / other.estimate
        return Quantity(ratio - 1, error)

    def less(self, other: Quantity) -> Quantity:
        """The difference of two that were measured independently, each with a known error."""
        return Quantity(self.estimate - other.estimate, math.hypot(self.error, other.error))


def excess(own: NDArray[np.float64], other: NDArray[np.float64]) -> Quantity:
    """How much larger a root mean square is than another of the same images, as a share of it.

    By the delta method: r = √(mean own / mean other) moves with an image by half of how its own
    square, over their mean, differs from its other.
    """
    ratio = float(np.sqrt(own.mean() / other.mean()))
    moves = ratio * (own / own.mean() - other / other.mean()) / 2
    return Quantity(ratio - 1, float(moves.std(ddof=1) / np.sqrt(len(moves))))


def mean(values: NDArray[np.float64]) -> Quantity:
    """The mean of independent values."""
    error = float(values.std(ddof=1) / np.sqrt(len(values)))
    return Quantity(float(values.mean()), error, len(values) - 1)


def share_of(share: float, n: int) -> Quantity:
    """A share of n independent images, of which none or all too may be luck.

    The error is that with two more that have it and two that have not (Agresti & Coull 1998).
    """
    shrunk = (n * share + 2) / (n + 4)
    return Quantity(share, math.sqrt(shrunk * (1 - shrunk) / (n + 4)))


def of_interval(value: float, interval: tuple[float, float], level: float) -> Quantity:
    """A value whose interval, known from many images, is about as wide as a normal one."""
    reach = float(student.ppf((1 + level) / 2, math.inf))
    return Quantity(value, (interval[1] - interval[0]) / (2 * reach))


def finding(interval: tuple[float, float], relation: Relation, bound: float) -> Finding:
    """Whether a statement holds of all that an interval leaves open, of nothing, or of some."""
    low, high = interval
    if relation in ("within", "beyond"):
        inside = -bound < low and high < bound
        outside = low > bound or high < -bound
        true, false = (inside, outside) if relation == "within" else (outside, inside)
    else:
        under, over = high < bound, low > bound
        true, false = (under, over) if relation == "below" else (over, under)
    return "holds" if true else "fails" if false else "unresolved"


def nearest_bound(quantity: Quantity, relation: Relation, bound: float) -> float:
    """The bound that decides: of a margin on both sides, the one on the estimate's."""
    if relation in ("within", "beyond"):
        return math.copysign(bound, quantity.estimate)
    return bound


def verdict(interval: tuple[float, float], margin: float, lower_is_better: bool) -> Verdict:
    """Of a difference: within ± the margin, be 0 in it or not; else on one side of 0; or neither.

    Read off an interval that holds the truth so often, it is wrong no oftener. Two one-sided tests
    of equivalence (Schuirmann 1987) would let the interval be a little narrower.
    """
    low, high = interval
    if -margin < low and high < margin:
        return "equivalent"
    if low > 0 or high < 0:
        return "better" if (high < 0) == lower_is_better else "worse"
    return "unresolved"


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted so that any false one among them is as rare as in one (Holm 1979)."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(_order(p_values)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def holm_levels(p_values: Sequence[float], level: float) -> list[float]:
    """How sure each interval must be, so that it leaves out its bound where Holm rejects it.

    Holm compares the k-th smallest p with alpha / (m - k + 1), and stops at the first that is
    larger: all after it have the level at which it stopped.
    """
    alpha, m = 1 - level, len(p_values)
    levels, share = [0.0] * m, 0.0
    stopped = False
    for rank, place in enumerate(_order(p_values)):
        if not stopped:
            share = alpha / (m - rank)
            stopped = p_values[place] > share
        levels[place] = 1 - share
    return levels


def _order(p_values: Sequence[float]) -> list[int]:
    return sorted(range(len(p_values)), key=p_values.__getitem__)
