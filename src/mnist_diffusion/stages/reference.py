"""reference: the real digits under both feature extractors, and what other real digits score."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from mnist_diffusion.dataset.mnist import CLASSES, Digits
from mnist_diffusion.dataset.splits import SPLITS, load_split
from mnist_diffusion.evaluation import real_digits
from mnist_diffusion.evaluation.copying import nearer, nearest_distances
from mnist_diffusion.evaluation.features import Extractors, JudgedSet
from mnist_diffusion.evaluation.frechet import ReferenceStatistics
from mnist_diffusion.evaluation.ink import background_of, ink
from mnist_diffusion.evaluation.kernels import Met, meet, within
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
    splits = {name: load_split(name) for name in SPLITS}
    extractors = Extractors.load(device)
    judged = {name: extractors.judge(*digits) for name, digits in splits.items()}
    training, testing = judged["train"], judged["test"]

    recreate_dir(paths.REFERENCE)
    statistics = _write_features(judged)
    met = meet(testing.features, training.features)
    background = background_of(splits["train"].images)
    np.save(paths.REFERENCE / real_digits.BACKGROUND, background)
    order = real_digits.comparison_order(len(testing.labels), settings.reference.seed)
    np.save(paths.REFERENCE / real_digits.ORDER, order.numpy())
    pixels = ink(splits["test"].images, testing.labels, background)
    report = {
        **_described(statistics.statistics),
        "n_per_class": {digit: one.count for digit, one in statistics.classes.items()},
        "n_test": len(testing.labels),
        "classifier_sha256": extractors.digest("classifier"),
        "second": {
            **_described(statistics.second),
            "autoencoder_sha256": extractors.digest("autoencoder"),
        },
        "within": statistics.within,
        "memorisation": _memorisation(splits, judged, met),
        "pixels": {name: found.value for name, found in pixels.items()},
        "floors": {
            str(n): _baseline(testing, met, statistics, n, settings)
            for n in settings.reference.counts
        },
    }
    dump(paths.REFERENCE_REPORT, ReferenceReport(**report))
    publish_folder(paths.REFERENCE, inputs, reports=[paths.REFERENCE_REPORT])
    return Outcome(sum(len(digits.labels) for digits in splits.values()))


def parameters(settings: Settings) -> dict[str, Any]:
    """What decides the baselines, besides the digits and the networks."""
    counts = ", ".join(map(str, settings.reference.counts))
    return {**settings.reference.model_dump(), "counts": counts}


def _write_features(judged: Mapping[str, JudgedSet]) -> real_digits.TrainStatistics:
    """Features of all splits by the classifier, and statistics of the training digits by both."""
    features = {name: found.features for name, found in judged.items()}
    save_file(features, paths.REFERENCE / real_digits.FEATURES)
    training = judged["train"]
    return real_digits.TrainStatistics(
        _write_statistics("classifier", training),
        _write_classes(training.features, training.labels),
        _write_statistics("autoencoder", training),
        within(training.features),
    )


def _write_statistics(network: str, training: JudgedSet) -> ReferenceStatistics:
    statistics = ReferenceStatistics.of(training.features_of(network))
    name = f"{real_digits.PREFIX[network]}{real_digits.STATISTICS}"
    save_file(statistics.tensors, paths.REFERENCE / name)
    return statistics


def _write_classes(features: Tensor, labels: Tensor) -> dict[str, ReferenceStatistics]:
    """Statistics of each digit's training features."""
    digits = range(CLASSES)
    found = {str(digit): ReferenceStatistics.of(features[labels == digit]) for digit in digits}
    tensors = {
        key: torch.stack([one.tensors[key] for one in found.values()])
        for key in ("mean", "covariance")
    }
    save_file(tensors, paths.REFERENCE / real_digits.CLASS_STATISTICS)
    return found


def _described(statistics: ReferenceStatistics) -> dict[str, Any]:
    return {
        "n": statistics.count,
        "features": len(statistics.mean),
        "trace": statistics.trace,
        "reference_sha256": arrays_digest(statistics.tensors),
    }


def _memorisation(
    splits: Mapping[str, Digits], judged: Mapping[str, JudgedSet], met: Met
) -> dict[str, Any]:
    """How near the test digits come to training digits, and how many nearer than to held out."""
    nearest = nearest_distances(splits["test"].images, splits["train"].images)
    held_out = nearest_distances(splits["test"].images, splits["validation"].images)
    apart = meet(judged["test"].features, judged["validation"].features).nearest
    return {
        "median_distance": float(np.median(nearest.numpy())),
        "nearer": int(nearer(nearest, held_out).sum()),
        "nearer_in_features": int(nearer(met.nearest, apart).sum()),
    }


def _baseline(
    testing: JudgedSet,
    met: Met,
    statistics: real_digits.TrainStatistics,
    n: int,
    settings: Settings,
) -> dict[str, Any]:
    chosen = settings.reference
    sets = real_digits.baseline_draws(testing, met, statistics, n, chosen.repeats, chosen.seed)
    tracked = track(sets, total=chosen.repeats, description=f"baseline at n={n}", unit="set")
    return real_digits.spreads(list(tracked))
