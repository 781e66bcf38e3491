"""evaluate: one sample set under both feature extractors, to reports/metrics/<cell>.json."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_diffusion.dataset.splits import load_split
from mnist_diffusion.evaluation import bootstrap, frechet, real_digits, scores
from mnist_diffusion.evaluation.accuracy import agreement, calibration_error, extremes, shares
from mnist_diffusion.evaluation.features import Extractors, JudgedSet, load_cell
from mnist_diffusion.evaluation.pixel_scores import (
    memorisation,
    nearest_distances,
    pixel_statistics,
)
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.pipeline import Outcome
from mnist_diffusion.provenance.digests import array_digest
from mnist_diffusion.provenance.lineage import publish_report, snapshot_inputs
from mnist_diffusion.provenance.schemas.cell_reports import CellMetrics
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.settings import Evaluate, Settings

ASKED = ("accuracy", "accuracy_per_class", "confusion", "calibration_error", "fd_per_class")
"""What there is only where digits were asked for."""


def run(settings: Settings, name: str) -> Outcome:
    """Judge the cell's images."""
    device = configure(settings.compute)
    networks = [paths.CLASSIFIER, paths.AUTOENCODER]
    files = [paths.samples(name), paths.PREPARED, *networks, paths.REFERENCE]
    inputs = snapshot_inputs(__name__, name, settings, parameters, files, device)
    images, labels = load_cell(name)
    extractors = Extractors.load(device)
    report = {
        "cell": name,
        "run": settings.cells[name].run,
        "n": len(images),
        "samples_sha256": array_digest(images),
        "classifier_sha256": extractors.digest("classifier"),
        **_judgement(images, extractors.judge(images, labels), settings.evaluate),
    }
    publish_report(paths.metrics(name), inputs, CellMetrics, **report)
    return Outcome(len(images))


def parameters(settings: Settings, name: str) -> dict[str, Any]:
    """What was sampled, and how sure of it we want to be."""
    return {"run": settings.cells[name].run, **settings.evaluate.model_dump()}


def _judgement(images: NDArray[np.uint8], judged: JudgedSet, chosen: Evaluate) -> dict[str, Any]:
    """Every score of a sample set, beside what real digits reach, and its intervals."""
    n = len(images)
    described = read_json(paths.REFERENCE_REPORT)
    baseline = described["floors"][str(n)]
    real = real_digits.load_real(n)
    second = real_digits.load_statistics("autoencoder")
    likeness = scores.likeness(judged.features, real.features)
    pixels = pixel_statistics(images)
    return {
        **frechet.distances(judged.features, real.statistics),
        **likeness,
        "fd_floor": baseline["fd"]["mean"],
        "relative_fd_floor": baseline["relative_fd"]["mean"],
        "reference_sha256": described["reference_sha256"],
        **_certainty(judged),
        **_agreement(judged),
        "second": {
            "autoencoder_sha256": described["second"]["autoencoder_sha256"],
            **frechet.distances(judged.second, second),
            "fd_floor": baseline["second_fd"]["mean"],
            "relative_fd_floor": baseline["second_relative_fd"]["mean"],
        },
        "memorisation": _memorisation(images),
        "pixels": pixels | {f"{key}_real": value for key, value in described["pixels"].items()},
        "floors": {key: baseline[key] for key in (*likeness, "fd_per_class")},
        "compared": len(real.features),
        "level": chosen.level,
        "resamples": chosen.resamples,
        "intervals": _intervals(judged, real, second, chosen),
    }


def _certainty(judged: JudgedSet) -> dict[str, Any]:
    """What the classifier sees, whatever was asked for."""
    probabilities, labels = judged.probabilities, judged.labels
    return {
        "confidence": float(probabilities.max(dim=1).values.double().mean()),
        "predicted_per_class": shares(probabilities),
        "extremes": extremes(probabilities, labels),
    }


def _agreement(judged: JudgedSet) -> dict[str, Any]:
    """Accuracy where digits were asked for; null, never 0, where none were."""
    if not judged.asked:
        return dict.fromkeys(ASKED)
    probabilities, labels = judged.probabilities, judged.labels
    return {
        **agreement(probabilities, labels),
        "calibration_error": calibration_error(probabilities, labels),
        "fd_per_class": frechet.per_class(judged.features, labels, real_digits.load_classes()),
    }


def _memorisation(images: NDArray[np.uint8]) -> dict[str, float]:
    distances = nearest_distances(images, load_split("train").images)
    tests = np.load(paths.REFERENCE / real_digits.NEAREST, allow_pickle=False)
    return memorisation(distances, tests)


def _intervals(
    judged: JudgedSet, real: scores.Real, second: frechet.ReferenceStatistics, chosen: Evaluate
) -> dict[str, bootstrap.Interval | None]:
    """Over the images of the set, by the same resamples for every cell of as many images."""
    level, n = chosen.level, len(judged.labels)
    counts = bootstrap.counts(n, chosen.resamples, chosen.seed)
    fewer = bootstrap.counts(len(real.features), chosen.resamples, chosen.seed)
    features, confidence = judged.features, judged.probabilities.amax(dim=1)
    return {
        "relative_fd": frechet.relative_fd(features, real.statistics).interval(counts, level),
        "second_relative_fd": frechet.relative_fd(judged.second, second).interval(counts, level),
        **scores.likeness_intervals(features, real.features, fewer, level),
        "accuracy": bootstrap.proportion_interval(judged.right, level) if judged.asked else None,
        "confidence": bootstrap.Estimate.mean(confidence).interval(counts, level),
    }
