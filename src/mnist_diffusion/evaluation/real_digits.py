"""What drawn digits are compared with: real ones; and what other real digits score.

That is the real-vs-real baseline of every metric at a given n.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from mnist_diffusion.dataset.mnist import CLASSES
from mnist_diffusion.evaluation.class_fd import class_fd, per_class
from mnist_diffusion.evaluation.features import JudgedSet
from mnist_diffusion.evaluation.frechet import ReferenceStatistics, distances, fd_infinity
from mnist_diffusion.evaluation.kernels import Met, kernel_distances
from mnist_diffusion.evaluation.scores import Real, likeness, spread
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.runtime.seeds import generator

PREFIX = {"classifier": "", "autoencoder": "second-"}
"""Before the names of files in data/reference, by the network that the features are of."""
STATISTICS = "statistics.safetensors"
"""mean (d,) and covariance (d, d) of the training digits' features."""
FEATURES = "features.safetensors"
"""train (n, d), validation (n_validation, d) and test (n_test, d)."""
CLASS_STATISTICS = "classes.safetensors"
"""mean (10, d) and covariance (10, d, d) of each digit's training features, by the classifier."""
ORDER = "order.npy"
"""(n_test,) a random order of the test digits: those compared come first."""
BACKGROUND = "background.npy"
"""(28, 28) bool: the pixels that are black in nearly every training digit."""
ASKED = "_asked"
"""After the name of a score: of as many of each digit, as of a set that was asked for them."""


def compared(n: int, tests: int) -> int:
    """How many of n drawn images, the first, are held against as many test digits.

    At most half of the test digits: the rest then shows what other real digits score.
    """
    return min(n, tests // 2)


def load_real(n: int) -> Real:
    """What n drawn images are compared with under the classifier, from data/reference."""
    training, test = load_features("train"), load_features("test")
    order = np.load(paths.REFERENCE / ORDER, allow_pickle=False)
    chosen = torch.from_numpy(order[: compared(n, len(test))])
    within = read_json(paths.REFERENCE_REPORT)["within"]
    return Real(load_statistics(), training, within, test[chosen])


def load_features(split: str) -> Tensor:
    """(n, d) of a split's digits, by the classifier."""
    with safe_open(paths.REFERENCE / FEATURES, framework="pt") as file:
        features: Tensor = file.get_tensor(split)
    return features


def load_statistics(network: str = "classifier") -> ReferenceStatistics:
    """Of the training digits."""
    tensors = load_file(paths.REFERENCE / f"{PREFIX[network]}{STATISTICS}")
    return ReferenceStatistics(**tensors, count=read_json(paths.REFERENCE_REPORT)["n"])


def load_classes() -> dict[str, ReferenceStatistics]:
    """Of the training digits of each class, by digit."""
    tensors = load_file(paths.REFERENCE / CLASS_STATISTICS)
    counts = read_json(paths.REFERENCE_REPORT)["n_per_class"]
    rows = enumerate(zip(tensors["mean"], tensors["covariance"], strict=True))
    return {
        str(digit): ReferenceStatistics(mean, covariance, counts[str(digit)])
        for digit, (mean, covariance) in rows
    }


@dataclass(frozen=True)
class TrainStatistics:
    """Statistics of the training digits."""

    statistics: ReferenceStatistics
    classes: dict[str, ReferenceStatistics]
    second: ReferenceStatistics
    """Of the autoencoder's features."""
    within: Mapping[str, float]
    """By kernel distance: the mean kernel of two training digits."""


def comparison_order(tests: int, seed: int) -> Tensor:
    """The order of test digits of which sample sets meet the first."""
    return torch.randperm(tests, generator=generator(seed, "reference/real"))


def baseline_draws(
    tests: JudgedSet, met: Met, training: TrainStatistics, n: int, repeats: int, seed: int
) -> Iterator[dict[str, Any]]:
    """The scores of each of several random sets of n test digits, as if they had been drawn.

    `met`: what the test digits are to the training digits. A set of all test digits is always the
    same one, so its distances are measured once.
    """
    count = len(tests.labels)
    for repeat in range(repeats):
        shuffled = torch.randperm(count, generator=generator(seed, "reference/floor", repeat))
        m = compared(n, count)
        found: dict[str, Any] = likeness(
            tests.features[shuffled[:m]], tests.features[shuffled[-m:]]
        )
        if repeat == 0 or n < count:
            found |= _distances(tests, met, training, shuffled[:n], seed)
            found |= _asked(tests, training, shuffled, n // CLASSES, seed)
        yield found


def spreads(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The spread of each score over the draws that have it."""
    return {key: _spread([one[key] for one in found if key in one]) for key in found[0]}


def _distances(
    tests: JudgedSet, met: Met, training: TrainStatistics, chosen: Tensor, seed: int
) -> dict[str, float]:
    """Of digits as they come: no halves by class, for nobody asked for any."""
    features, unasked = tests.features[chosen], torch.full_like(chosen, -1)
    kernels = kernel_distances(features, unasked, met.chosen(chosen), training.within)
    second = distances(tests.second[chosen], training.second)
    return {
        **distances(features, training.statistics),
        **_infinities(tests, training, chosen, unasked, seed),
        **{name: one.value for name, one in kernels.items()},
        **{f"second_{key}": value for key, value in second.items()},
        "accuracy": float(tests.right[chosen].double().mean()),
    }


def _infinities(
    tests: JudgedSet, training: TrainStatistics, chosen: Tensor, labels: Tensor, seed: int
) -> dict[str, float]:
    first = fd_infinity(tests.features[chosen], labels, training.statistics, seed)
    second = fd_infinity(tests.second[chosen], labels, training.second, seed)
    return {"fd_infinity": first.value, "second_fd_infinity": second.value}


def _asked(
    tests: JudgedSet, training: TrainStatistics, shuffled: Tensor, each: int, seed: int
) -> dict[str, Any]:
    """Of the first `each` of every digit, or of as many as there are."""
    labels = tests.labels[shuffled]
    chosen = torch.cat([shuffled[labels == digit][:each] for digit in range(CLASSES)])
    asked = tests.labels[chosen]
    found = per_class(tests.features[chosen], asked, training.classes, seed)
    mean = class_fd(asked, found)
    infinities = _infinities(tests, training, chosen, asked, seed)
    return {
        **{f"{key}{ASKED}": value for key, value in infinities.items()},
        "class_fd": mean.value if mean else None,
        "fd_per_class": {digit: one.value if one else None for digit, one in found.items()},
    }


def _spread(values: list[Any]) -> Any:
    if isinstance(values[0], dict):
        return {key: _spread([one[key] for one in values]) for key in values[0]}
    if None in values:
        return None
    return spread(values)
