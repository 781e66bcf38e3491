"""What drawn digits are compared with: statistics of the training digits, and real test digits."""

from dataclasses import dataclass

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from mnist_diffusion.evaluation.distances import ReferenceStatistics
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json

PREFIX = {"classifier": "", "autoencoder": "second-"}
"""Before the names of files in data/reference, by the network that the features are of."""
STATISTICS = "statistics.safetensors"
"""mean (d,) and covariance (d, d) of the training digits' features."""
FEATURES = "features.safetensors"
"""train (n, d) and test (n_test, d)."""
CLASSES = "classes.safetensors"
"""mean (10, d) and covariance (10, d, d) of each digit's training features, by the classifier."""
ORDER = "order.npy"
"""(n_test,) a random order of the test digits: those compared come first."""
NEAREST = "nearest.npy"
"""(n_test,) float32: how far each test digit is from its nearest training digit."""


@dataclass(frozen=True)
class Real:
    """Real digits in the space of one network."""

    statistics: ReferenceStatistics
    """Of all training digits."""
    features: Tensor
    """(m, d) of test digits, the same for every sample set of one size."""


def compared(n: int, tests: int) -> int:
    """How many of n drawn images, the first, are held against as many test digits.

    At most half of the test digits: the rest then tells what other real digits score.
    """
    return min(n, tests // 2)


def load_real(n: int, network: str = "classifier") -> Real:
    """What n drawn images are compared with, from data/reference."""
    prefix = PREFIX[network]
    with safe_open(paths.REFERENCE / f"{prefix}{FEATURES}", framework="pt") as file:
        test = file.get_tensor("test")
    order = np.load(paths.REFERENCE / ORDER, allow_pickle=False)
    chosen = torch.from_numpy(order[: compared(n, len(test))])
    return Real(load_statistics(network), test[chosen])


def load_statistics(network: str = "classifier") -> ReferenceStatistics:
    """Of the training digits."""
    tensors = load_file(paths.REFERENCE / f"{PREFIX[network]}{STATISTICS}")
    count = read_json(paths.REFERENCE_REPORT)["n"]
    return ReferenceStatistics(tensors["mean"], tensors["covariance"], count)


def load_classes() -> dict[str, ReferenceStatistics]:
    """Of the training digits of each class, by digit."""
    tensors = load_file(paths.REFERENCE / CLASSES)
    counts = read_json(paths.REFERENCE_REPORT)["n_per_class"]
    rows = enumerate(zip(tensors["mean"], tensors["covariance"], strict=True))
    return {
        str(digit): ReferenceStatistics(mean, covariance, counts[str(digit)])
        for digit, (mean, covariance) in rows
    }
