"""What other real digits score: the floor under every metric at a given n."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mnist_diffusion.evaluation.distances import ReferenceStatistics
from mnist_diffusion.evaluation.real import compared
from mnist_diffusion.evaluation.scores import distances, likeness, per_class
from mnist_diffusion.runtime.seeds import generator

CLASSES = 10
Spread = dict[str, float]


@dataclass(frozen=True)
class Training:
    """Statistics of the training digits."""

    statistics: ReferenceStatistics
    classes: dict[str, ReferenceStatistics]
    second: ReferenceStatistics
    """In the second network's space."""


@dataclass(frozen=True)
class Tests:
    """The test digits."""

    features: Tensor
    """(n_test, d)"""
    second: Tensor
    """(n_test, d') in the second network's space."""
    labels: Tensor
    right: Tensor
    """(n_test,) bool: the classifier sees the right digit."""


def order(tests: int, seed: int) -> Tensor:
    """The order of test digits of which sample sets meet the first."""
    return torch.randperm(tests, generator=generator(seed, "reference/real"))


def draws(tests: Tests, training: Training, n: int, repeats: int, seed: int) -> Iterator[Any]:
    """The scores of each of several random sets of n test digits, as if they had been drawn.

    A set of all test digits is always the same one, so its distances are told once.
    """
    count = len(tests.labels)
    for repeat in range(repeats):
        shuffled = torch.randperm(count, generator=generator(seed, "reference/floor", repeat))
        m = compared(n, count)
        found: dict[str, Any] = likeness(
            tests.features[shuffled[:m]], tests.features[shuffled[-m:]]
        )
        if repeat == 0 or n < count:
            found |= _distances(tests, training, shuffled[:n])
            found["fd_per_class"] = _per_class(tests, training, shuffled, n // CLASSES)
        yield found


def spreads(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean, lowest and highest of each score over the draws that have it."""
    return {key: _spread([one[key] for one in found if key in one]) for key in found[0]}


def _distances(tests: Tests, training: Training, chosen: Tensor) -> dict[str, float]:
    second = distances(tests.second[chosen], training.second)
    return {
        **distances(tests.features[chosen], training.statistics),
        **{f"second_{key}": value for key, value in second.items()},
        "accuracy": float(tests.right[chosen].double().mean()),
    }


def _per_class(
    tests: Tests, training: Training, shuffled: Tensor, each: int
) -> dict[str, float | None]:
    """Of the first `each` of every digit, or of as many as there are."""
    labels = tests.labels[shuffled]
    chosen = torch.cat([shuffled[labels == digit][:each] for digit in range(CLASSES)])
    return per_class(tests.features[chosen], tests.labels[chosen], training.classes)


def _spread(values: list[Any]) -> Any:
    if isinstance(values[0], dict):
        return {key: _spread([one[key] for one in values]) for key in values[0]}
    if None in values:
        return None
    return {"mean": sum(values) / len(values), "low": min(values), "high": max(values)}
