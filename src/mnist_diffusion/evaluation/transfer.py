"""What a set of digits teaches: the accuracy of classifiers trained on it, on real digits."""

from typing import Any

from scipy.stats import t
from torch import Tensor


def over_seeds(right: Tensor, level: float) -> dict[str, Any]:
    """Of r >= 2 trainings that differ in their seed, right (r, n) bool: the mean accuracy.

    Its interval is of further seeds and of further test digits: a t interval on the sum of both
    variances, s² / r between trainings and that of the digits' mean rightness over n, with the
    degrees of freedom of Welch (1947). A part of the first is in the second too: wide, not narrow.
    """
    by_seed, by_digit = right.double().mean(dim=1), right.double().mean(dim=0)
    seeds, digits = float(by_seed.var()) / len(by_seed), float(by_digit.var()) / len(by_digit)
    accuracy, error = float(by_seed.mean()), (seeds + digits) ** 0.5
    within = seeds**2 / (len(by_seed) - 1) + digits**2 / (len(by_digit) - 1)
    reach = float(t.ppf((1 + level) / 2, error**4 / within)) * error if error else 0.0
    return {
        "accuracy": accuracy,
        "accuracies": by_seed.tolist(),
        "interval": [max(0.0, accuracy - reach), min(1.0, accuracy + reach)],
    }
