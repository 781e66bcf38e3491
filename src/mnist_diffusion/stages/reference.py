"""reference: the real digits in the eyes of both networks, and what other real digits score."""

from typing import Any, cast

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from mnist_diffusion.dataset.scaling import to_tensor
from mnist_diffusion.dataset.splits import load_split
from mnist_diffusion.evaluation import floors, real
from mnist_diffusion.evaluation.distances import ReferenceStatistics
from mnist_diffusion.evaluation.embedding import embed
from mnist_diffusion.evaluation.features import judge
from mnist_diffusion.evaluation.memorisation import nearest_distances
from mnist_diffusion.evaluation.pixels import pixel_statistics
from mnist_diffusion.evaluation.real import STATISTICS as STATISTICS
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import write_json
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.autoencoder import Autoencoder
from mnist_diffusion.provenance.digests import arrays_digest
from mnist_diffusion.provenance.environment import environment
from mnist_diffusion.provenance.manifest import publish
from mnist_diffusion.provenance.origin import origin
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.runtime.locks import recreate_dir
from mnist_diffusion.runtime.progress_bar import track
from mnist_diffusion.settings import Settings
from mnist_diffusion.stages.outcome import Outcome

INPUTS = [paths.PREPARED, paths.CLASSIFIER, paths.AUTOENCODER]


def run(settings: Settings) -> Outcome:
    """Features of the real digits, their statistics, and the floor at every n that is drawn."""
    device = configure(settings.compute)
    taken = origin(__name__, None, settings, parameters, INPUTS)
    splits = {name: load_split(name) for name in ("train", "test")}
    images = {name: to_tensor(split.images) for name, split in splits.items()}
    labels = {name: torch.from_numpy(split.labels) for name, split in splits.items()}

    classifier, _ = checkpoint.load(paths.CLASSIFIER)
    classifier.to(device)
    judged = {name: judge(classifier, batch, device) for name, batch in images.items()}
    features = {name: one.features for name, one in judged.items()}
    autoencoder = cast(Autoencoder, checkpoint.load(paths.AUTOENCODER)[0]).to(device)
    second = {name: embed(autoencoder, batch, device) for name, batch in images.items()}

    recreate_dir(paths.REFERENCE)
    training = floors.Training(
        _write("classifier", features),
        _write_classes(features["train"], labels["train"]),
        _write("autoencoder", second),
    )
    tests = floors.Tests(
        features["test"],
        second["test"],
        labels["test"],
        judged["test"].probabilities.argmax(dim=1) == labels["test"],
    )
    nearest = nearest_distances(splits["test"].images, splits["train"].images)
    np.save(paths.REFERENCE / real.NEAREST, nearest)
    order = floors.order(len(tests.labels), settings.reference.seed)
    np.save(paths.REFERENCE / real.ORDER, order.numpy())
    report = {
        **_described(training.statistics),
        "n_per_class": {digit: one.count for digit, one in training.classes.items()},
        "n_test": len(tests.labels),
        "classifier_sha256": arrays_digest(checkpoint.weights(classifier)),
        "second": {
            **_described(training.second),
            "autoencoder_sha256": arrays_digest(checkpoint.weights(autoencoder)),
        },
        "memorisation": {"median_distance": float(np.median(nearest))},
        "pixels": pixel_statistics(splits["test"].images),
        "floors": {str(n): _floor(tests, training, n, settings) for n in settings.reference.counts},
    }
    write_json(paths.REFERENCE_REPORT, report)
    publish(paths.REFERENCE, taken, environment(device), reports=[paths.REFERENCE_REPORT])
    return Outcome(sum(len(split.labels) for split in splits.values()))


def parameters(settings: Settings) -> dict[str, Any]:
    """What decides the floors, besides the digits and the networks."""
    counts = ", ".join(map(str, settings.reference.counts))
    return {**settings.reference.model_dump(), "counts": counts}


def _write(network: str, features: dict[str, Tensor]) -> ReferenceStatistics:
    """Features of both splits, and statistics of the training digits'."""
    prefix = real.PREFIX[network]
    statistics = ReferenceStatistics.of(features["train"])
    tensors = {"mean": statistics.mean, "covariance": statistics.covariance}
    save_file(features, paths.REFERENCE / f"{prefix}{real.FEATURES}")
    save_file(tensors, paths.REFERENCE / f"{prefix}{real.STATISTICS}")
    return statistics


def _write_classes(features: Tensor, labels: Tensor) -> dict[str, ReferenceStatistics]:
    """Statistics of each digit's training features."""
    digits = range(floors.CLASSES)
    found = {str(digit): ReferenceStatistics.of(features[labels == digit]) for digit in digits}
    tensors = {
        "mean": torch.stack([one.mean for one in found.values()]),
        "covariance": torch.stack([one.covariance for one in found.values()]),
    }
    save_file(tensors, paths.REFERENCE / real.CLASSES)
    return found


def _described(statistics: ReferenceStatistics) -> dict[str, Any]:
    tensors = {"mean": statistics.mean, "covariance": statistics.covariance}
    return {
        "n": statistics.count,
        "features": len(statistics.mean),
        "trace": statistics.trace,
        "reference_sha256": arrays_digest(tensors),
    }


def _floor(tests: floors.Tests, training: floors.Training, n: int, settings: Settings) -> Any:
    chosen = settings.reference
    sets = floors.draws(tests, training, n, chosen.repeats, chosen.seed)
    tracked = track(sets, total=chosen.repeats, description=f"floor at n={n}", unit="set")
    return floors.spreads(list(tracked))
