"""trtr: train a classifier on as few real digits as a cell has, test on real ones."""

from statistics import mean
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mnist_diffusion.dataset.mnist import CLASSES, Digits
from mnist_diffusion.dataset.pixels import to_tensor
from mnist_diffusion.dataset.splits import load_split
from mnist_diffusion.evaluation.accuracy import agreement
from mnist_diffusion.evaluation.features import classify
from mnist_diffusion.evaluation.transfer import over_seeds
from mnist_diffusion.files import paths
from mnist_diffusion.pipeline import Outcome
from mnist_diffusion.provenance.lineage import publish_report, snapshot_inputs
from mnist_diffusion.provenance.schemas.cell_reports import TrtrReport
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import ClassifierTraining, Settings
from mnist_diffusion.training.supervised import trained_classifier


def run(settings: Settings) -> Outcome:
    """Train on as many real digits as each cell of `tstr` has, and test."""
    device = configure(settings.compute)
    inputs = snapshot_inputs(__name__, None, settings, parameters, [paths.PREPARED], device)
    n = settings.sample.count
    report = {
        "n_test": len(load_split("test").labels),
        "level": settings.evaluate.level,
        "epochs": settings.tstr.epochs,
        "by_n": {str(n): tested(real_digits(n), settings, device)},
    }
    publish_report(paths.TRTR, inputs, TrtrReport, **report)
    return Outcome(n * settings.tstr.epochs)


def parameters(settings: Settings) -> dict[str, Any]:
    """The recipe, and how many digits."""
    return {**recipe(settings), "count": settings.sample.count}


def recipe(settings: Settings) -> dict[str, Any]:
    """The classifier's own, but for other epochs and batches: these sets are many times smaller."""
    shared = {"level": settings.evaluate.level, "seeds": settings.tstr.seeds}
    return {**_training(settings).model_dump(), **shared}


def _training(settings: Settings, repeat: int = 0) -> ClassifierTraining:
    changed = {
        "epochs": settings.tstr.epochs,
        "batch_size": settings.tstr.batch_size,
        "seed": settings.classifier.seed + repeat,
    }
    return settings.classifier.model_copy(update=changed)


def tested(digits: Digits, settings: Settings, device: torch.device) -> dict[str, Any]:
    """Accuracy on the real test digits of classifiers trained on these, by as many seeds.

    The same seeds for every set, so that all are trained alike but for the digits.
    """
    images, labels = _tensors(load_split("test"))
    right, by_digit = [], []
    for repeat in range(settings.tstr.seeds):
        network = trained_classifier(*_tensors(digits), _training(settings, repeat), device)
        found = classify(network, images, device)
        right.append(found.seen == labels)
        by_digit.append(agreement(found.probabilities, labels)["accuracy_per_class"])
    return {
        **over_seeds(torch.stack(right), settings.evaluate.level),
        "accuracy_per_class": {
            digit: mean(one[digit] for one in by_digit) for digit in by_digit[0]
        },
    }


def real_digits(n: int) -> Digits:
    """n training digits in the order of the drawn ones: 0 to 9, and again."""
    real = load_split("train")
    wanted = np.arange(n) % CLASSES
    chosen = np.zeros(n, dtype=np.int64)
    for digit in range(CLASSES):
        there, places = np.flatnonzero(real.labels == digit), np.flatnonzero(wanted == digit)
        if len(there) < len(places):
            raise UserError(f"prepare.train: fewer than {len(places)} of a digit; raise it")
        chosen[places] = there[: len(places)]
    return Digits(real.images[chosen], real.labels[chosen])


def _tensors(digits: Digits) -> tuple[Tensor, Tensor]:
    return to_tensor(digits.images), torch.from_numpy(digits.labels)
