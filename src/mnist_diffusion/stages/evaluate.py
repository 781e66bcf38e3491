"""evaluate: one sample set in the eyes of both networks, to reports/metrics/<cell>.json."""

from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mnist_diffusion.dataset.scaling import to_tensor
from mnist_diffusion.dataset.splits import load_split
from mnist_diffusion.evaluation import bootstrap, real, scores
from mnist_diffusion.evaluation.accuracy import agreement, calibration_error, shares
from mnist_diffusion.evaluation.distances import ReferenceStatistics
from mnist_diffusion.evaluation.embedding import embed
from mnist_diffusion.evaluation.extremes import extremes
from mnist_diffusion.evaluation.features import Judgement, judge
from mnist_diffusion.evaluation.memorisation import memorisation, nearest_distances
from mnist_diffusion.evaluation.pixels import pixel_statistics
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json, write_json
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.autoencoder import Autoencoder
from mnist_diffusion.provenance.digests import array_digest, arrays_digest
from mnist_diffusion.provenance.environment import environment
from mnist_diffusion.provenance.origin import code_card, origin
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.settings import Evaluate, Settings
from mnist_diffusion.stages.outcome import Outcome

LIKENESS = ("kid", "precision", "recall", "density", "coverage")


@dataclass(frozen=True)
class Sample:
    """A cell's images and what the networks make of them."""

    images: NDArray[np.uint8]
    labels: Tensor
    """(n,) the digits asked for; -1 where none was."""
    judged: Judgement
    second: Tensor
    """(n, 64) features of the second network."""

    @property
    def asked(self) -> bool:
        return bool((self.labels >= 0).all())


def run(settings: Settings, name: str) -> Outcome:
    """Judge the cell's images."""
    device = configure(settings.compute)
    folder = paths.samples(name)
    inputs = [folder, paths.PREPARED, paths.CLASSIFIER, paths.AUTOENCODER, paths.REFERENCE]
    taken = origin(__name__, name, settings, partial(parameters, name=name), inputs)
    classifier, _ = checkpoint.load(paths.CLASSIFIER)
    autoencoder = cast(Autoencoder, checkpoint.load(paths.AUTOENCODER)[0])
    images = np.load(folder / "images.npy", allow_pickle=False)
    labels = np.load(folder / "labels.npy", allow_pickle=False)
    pixels = to_tensor(images)
    sample = Sample(
        images,
        torch.from_numpy(labels),
        judge(classifier.to(device), pixels, device),
        embed(autoencoder.to(device), pixels, device),
    )
    report = {
        "cell": name,
        "run": settings.cells[name].run,
        "n": len(images),
        "samples_sha256": array_digest(images),
        "classifier_sha256": arrays_digest(checkpoint.weights(classifier)),
        **_judgement(sample, settings.evaluate),
        "made_from": taken.made_from,
        "code": code_card(taken),
        "environment": environment(device),
    }
    taken.verify()
    write_json(paths.metrics(name), report)
    return Outcome(len(images))


def parameters(settings: Settings, name: str) -> dict[str, Any]:
    """What was sampled, and how sure of it we want to be."""
    return {"run": settings.cells[name].run, **settings.evaluate.model_dump()}


def _judgement(sample: Sample, chosen: Evaluate) -> dict[str, Any]:
    """Every score of a sample, beside what real digits reach, and its intervals."""
    n = len(sample.images)
    described = read_json(paths.REFERENCE_REPORT)
    floor = described["floors"][str(n)]
    here = real.load_real(n)
    second = real.load_statistics("autoencoder")
    pixels = pixel_statistics(sample.images)
    return {
        **scores.scores(sample.judged.features, here),
        "fd_floor": floor["fd"]["mean"],
        "relative_fd_floor": floor["relative_fd"]["mean"],
        "reference_sha256": described["reference_sha256"],
        **_agreement(sample),
        "second": {
            "autoencoder_sha256": described["second"]["autoencoder_sha256"],
            **scores.distances(sample.second, second),
            "fd_floor": floor["second_fd"]["mean"],
            "relative_fd_floor": floor["second_relative_fd"]["mean"],
        },
        "memorisation": _memorisation(sample),
        "pixels": pixels | {f"{key}_real": value for key, value in described["pixels"].items()},
        "floors": {key: floor[key] for key in (*LIKENESS, "fd_per_class")},
        "compared": len(here.features),
        "level": chosen.level,
        "resamples": chosen.resamples,
        "intervals": _intervals(sample, here, second, chosen),
    }


def _agreement(sample: Sample) -> dict[str, Any]:
    """Accuracy where digits were asked for; null, never 0, where none were."""
    probabilities, labels = sample.judged.probabilities, sample.labels
    result = agreement(probabilities, labels) if sample.asked else None
    features, classes = sample.judged.features, real.load_classes()
    return {
        "accuracy": result.overall if result else None,
        "accuracy_per_class": result.per_class if result else None,
        "confusion": result.confusion if result else None,
        "calibration_error": calibration_error(probabilities, labels) if result else None,
        "fd_per_class": scores.per_class(features, labels, classes) if result else None,
        "confidence": float(probabilities.max(dim=1).values.double().mean()),
        "predicted_per_class": shares(probabilities),
        "extremes": extremes(probabilities, labels),
    }


def _memorisation(sample: Sample) -> dict[str, float]:
    distances = nearest_distances(sample.images, load_split("train").images)
    tests = np.load(paths.REFERENCE / real.NEAREST, allow_pickle=False)
    return memorisation(distances, tests)


def _intervals(
    sample: Sample, here: real.Real, second: ReferenceStatistics, chosen: Evaluate
) -> dict[str, bootstrap.Interval | None]:
    """Over the images of the sample, by the same resamples for every cell of as many images."""
    level, n = chosen.level, len(sample.images)
    counts = bootstrap.counts(n, chosen.resamples, chosen.seed)
    fewer = bootstrap.counts(len(here.features), chosen.resamples, chosen.seed)
    features, probabilities = sample.judged.features, sample.judged.probabilities
    right = probabilities.argmax(dim=1) == sample.labels
    return {
        "relative_fd": scores.relative_interval(features, here.statistics, counts, level),
        "second_relative_fd": scores.relative_interval(sample.second, second, counts, level),
        **scores.likeness_intervals(features, here.features, fewer, level),
        "accuracy": bootstrap.proportion_interval(right, level) if sample.asked else None,
        "confidence": bootstrap.mean_interval(probabilities.amax(dim=1), counts, level),
    }
