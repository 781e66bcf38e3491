"""reference: the real digits under both feature extractors, and what other real digits score."""

from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from mnist_diffusion.dataset.mnist import CLASSES
from mnist_diffusion.dataset.splits import load_split
from mnist_diffusion.evaluation import real_digits
from mnist_diffusion.evaluation.features import Extractors, JudgedSet
from mnist_diffusion.evaluation.frechet import ReferenceStatistics
from mnist_diffusion.evaluation.pixel_scores import nearest_distances, pixel_statistics
from mnist_diffusion.files import paths
from mnist_diffusion.pipeline import Outcome
from mnist_diffusion.provenance.digests import arrays_digest
from mnist_diffusion.provenance.lineage import publish_folder, snapshot_inputs
from mnist_diffusion.provenance.schemas.artifact import dump
from mnist_diffusion.provenance.schemas.judge_reports import ReferenceReport
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.runtime.locks import recreate_dir
from mnist_diffusion.runtime.progress_bar import track
from mnist_diffusion.settings import Settings

INPUTS = [paths.PREPARED, paths.CLASSIFIER, paths.AUTOENCODER]


def run(settings: Settings) -> Outcome:
    """Features of the real digits, their statistics, and the baseline at every n that is drawn."""
    device = configure(settings.compute)
    inputs = snapshot_inputs(__name__, None, settings, parameters, INPUTS, device)
    train, test = load_split("train"), load_split("test")
    extractors = Extractors.load(device)
    training, testing = extractors.judge(*train), extractors.judge(*test)

    recreate_dir(paths.REFERENCE)
    statistics = _write_features(training, testing)
    nearest = nearest_distances(test.images, train.images)
    np.save(paths.REFERENCE / real_digits.NEAREST, nearest)
    order = real_digits.comparison_order(len(test.labels), settings.reference.seed)
    np.save(paths.REFERENCE / real_digits.ORDER, order.numpy())
    report = {
        **_described(statistics.statistics),
        "n_per_class": {digit: one.count for digit, one in statistics.classes.items()},
        "n_test": len(test.labels),
        "classifier_sha256": extractors.digest("classifier"),
        "second": {
            **_described(statistics.second),
            "autoencoder_sha256": extractors.digest("autoencoder"),
        },
        "memorisation": {"median_distance": float(np.median(nearest))},
        "pixels": pixel_statistics(test.images),
        "floors": {
            str(n): _baseline(testing, statistics, n, settings) for n in settings.reference.counts
        },
    }
    dump(paths.REFERENCE_REPORT, ReferenceReport(**report))
    publish_folder(paths.REFERENCE, inputs, reports=[paths.REFERENCE_REPORT])
    return Outcome(len(train.labels) + len(test.labels))


def parameters(settings: Settings) -> dict[str, Any]:
    """What decides the baselines, besides the digits and the networks."""
    counts = ", ".join(map(str, settings.reference.counts))
    return {**settings.reference.model_dump(), "counts": counts}


def _write_features(training: JudgedSet, testing: JudgedSet) -> real_digits.TrainStatistics:
    """Features of both splits under both extractors, and statistics of the training digits."""
    return real_digits.TrainStatistics(
        _write("classifier", training, testing),
        _write_classes(training.features, training.labels),
        _write("autoencoder", training, testing),
    )


def _write(network: str, training: JudgedSet, testing: JudgedSet) -> ReferenceStatistics:
    prefix = real_digits.PREFIX[network]
    features = {"train": training.features_of(network), "test": testing.features_of(network)}
    statistics = ReferenceStatistics.of(features["train"])
    tensors = {"mean": statistics.mean, "covariance": statistics.covariance}
    save_file(features, paths.REFERENCE / f"{prefix}{real_digits.FEATURES}")
    save_file(tensors, paths.REFERENCE / f"{prefix}{real_digits.STATISTICS}")
    return statistics


def _write_classes(features: Tensor, labels: Tensor) -> dict[str, ReferenceStatistics]:
    """Statistics of each digit's training features."""
    digits = range(CLASSES)
    found = {str(digit): ReferenceStatistics.of(features[labels == digit]) for digit in digits}
    tensors = {
        "mean": torch.stack([one.mean for one in found.values()]),
        "covariance": torch.stack([one.covariance for one in found.values()]),
    }
    save_file(tensors, paths.REFERENCE / real_digits.CLASS_STATISTICS)
    return found


def _described(statistics: ReferenceStatistics) -> dict[str, Any]:
    tensors = {"mean": statistics.mean, "covariance": statistics.covariance}
    return {
        "n": statistics.count,
        "features": len(statistics.mean),
        "trace": statistics.trace,
        "reference_sha256": arrays_digest(tensors),
    }


def _baseline(
    testing: JudgedSet, statistics: real_digits.TrainStatistics, n: int, settings: Settings
) -> dict[str, Any]:
    chosen = settings.reference
    sets = real_digits.baseline_draws(testing, statistics, n, chosen.repeats, chosen.seed)
    tracked = track(sets, total=chosen.repeats, description=f"baseline at n={n}", unit="set")
    return real_digits.spreads(list(tracked))
