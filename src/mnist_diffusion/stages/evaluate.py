"""evaluate: one sample set under both feature extractors, to reports/metrics/<cell>.json."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mnist_diffusion.dataset.splits import load_split
from mnist_diffusion.evaluation import real_digits, scores
from mnist_diffusion.evaluation.accuracy import agreement, extremes, shares
from mnist_diffusion.evaluation.class_fd import class_fd, per_class
from mnist_diffusion.evaluation.copying import copies, copies_in_features, nearer, nearest_distances
from mnist_diffusion.evaluation.estimates import Estimate, Interval, proportion_interval
from mnist_diffusion.evaluation.features import Extractors, JudgedSet, load_cell
from mnist_diffusion.evaluation.frechet import distances, fd_infinity, relative_fd
from mnist_diffusion.evaluation.ink import ink, stroke_gap
from mnist_diffusion.evaluation.kernels import Met, kernel_distances, meet
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.pipeline import Outcome
from mnist_diffusion.provenance.digests import array_digest
from mnist_diffusion.provenance.lineage import publish_report, snapshot_inputs
from mnist_diffusion.provenance.schemas.cell_reports import CellMetrics
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.settings import Evaluate, Settings

ASKED = ("accuracy", "accuracy_per_class", "confusion")
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
    """Every score of a sample set, beside what real digits reach, with errors and intervals."""
    described = read_json(paths.REFERENCE_REPORT)
    floors = _floors(described["floors"][str(len(images))], judged.asked)
    real = real_digits.load_real(len(images))
    met = meet(judged.features, real.training)
    likeness, intervals = scores.likeness_intervals(
        judged.features, judged.labels, real.features, chosen.level
    )
    by_digit = _by_digit(judged, chosen)
    estimates = {
        **_distances(judged, real, chosen),
        "class_fd": class_fd(judged.labels, by_digit) if by_digit else None,
        **kernel_distances(judged.features, judged.labels, met, real.within),
        **_ink(images, judged.labels, described["pixels"]["saturated"]),
        "confidence": Estimate.mean(judged.probabilities.amax(dim=1), judged.labels),
    }
    values = _values(estimates)
    return {
        **distances(judged.features, real.statistics),
        **{name: values[name] for name in ("fd_infinity", "class_fd", "kid", "energy")},
        **likeness,
        "fd_floor": floors.pop("fd")["mean"],
        "relative_fd_floor": floors.pop("relative_fd")["mean"],
        "reference_sha256": described["reference_sha256"],
        **_certainty(judged),
        **_agreement(judged),
        "fd_per_class": _values(by_digit) if by_digit else None,
        "second": {
            "autoencoder_sha256": described["second"]["autoencoder_sha256"],
            **distances(judged.second, real_digits.load_statistics("autoencoder")),
            "fd_infinity": values["second_fd_infinity"],
            "fd_floor": floors.pop("second_fd")["mean"],
            "relative_fd_floor": floors.pop("second_relative_fd")["mean"],
        },
        "memorisation": _memorisation(images, judged, met, described),
        "pixels": _pixels(values, described["pixels"]),
        "floors": floors,
        "compared": len(real.features),
        "level": chosen.level,
        "errors": {name: found.error for name, found in estimates.items() if found},
        "intervals": intervals | _intervals(estimates, judged, chosen.level),
    }


def _intervals(
    estimates: dict[str, Estimate | None], judged: JudgedSet, level: float
) -> dict[str, Interval | None]:
    """Had other images been drawn; null where a score has no value."""
    found = {name: one.interval(level) if one else None for name, one in estimates.items()}
    right = proportion_interval(judged.right, level) if judged.asked else None
    return {**found, "accuracy": right}


def _floors(baseline: dict[str, Any], asked: bool) -> dict[str, Any]:
    """What real digits score: where digits were asked for, as many of each of them."""
    ending = real_digits.ASKED
    found = {key: value for key, value in baseline.items() if key != "accuracy"}
    of_each = {key.removesuffix(ending): found.pop(key) for key in baseline if key.endswith(ending)}
    return found | of_each if asked else found


def _distances(judged: JudgedSet, real: scores.Real, chosen: Evaluate) -> dict[str, Estimate]:
    """By both networks, at this n and of as many images as one likes."""
    second, labels = real_digits.load_statistics("autoencoder"), judged.labels
    return {
        "relative_fd": relative_fd(judged.features, labels, real.statistics),
        "fd_infinity": fd_infinity(judged.features, labels, real.statistics, chosen.seed),
        "second_relative_fd": relative_fd(judged.second, labels, second),
        "second_fd_infinity": fd_infinity(judged.second, labels, second, chosen.seed),
    }


def _by_digit(judged: JudgedSet, chosen: Evaluate) -> dict[str, Estimate | None] | None:
    if not judged.asked:
        return None
    return per_class(judged.features, judged.labels, real_digits.load_classes(), chosen.seed)


def _values(found: dict[str, Estimate | None]) -> dict[str, float | None]:
    return {name: one.value if one else None for name, one in found.items()}


def _certainty(judged: JudgedSet) -> dict[str, Any]:
    """What the classifier sees, whatever was asked for."""
    probabilities, labels = judged.probabilities, judged.labels
    return {
        "confidence": float(probabilities.max(dim=1).values.double().mean()),
        "predicted_per_class": shares(probabilities),
        "extremes": extremes(probabilities, labels),
    }


def _agreement(judged: JudgedSet) -> dict[str, Any]:
    """Accuracy where digits were asked for; null, never 0, where none were.

    No calibration error: what was asked for is no truth about the image.
    """
    if not judged.asked:
        return dict.fromkeys(ASKED)
    return agreement(judged.probabilities, judged.labels)


def _memorisation(
    images: NDArray[np.uint8], judged: JudgedSet, met: Met, described: dict[str, Any]
) -> dict[str, Any]:
    """How near the drawn digits come to training digits, and whether nearer than to held out."""
    training, held_out = load_split("train").images, load_split("validation").images
    distances = nearest_distances(images, training)
    apart = meet(judged.features, real_digits.load_features("validation")).nearest
    known, n_test = described["memorisation"], described["n_test"]
    copied = nearer(distances, nearest_distances(images, held_out))
    return {
        "median_distance": float(np.median(distances.numpy())),
        "median_distance_test": known["median_distance"],
        "pixels": copies(copied, len(training), len(held_out)),
        "features": copies_in_features(
            nearer(met.nearest, apart), known["nearer_in_features"], n_test
        ),
    }


def _ink(images: NDArray[np.uint8], labels: Tensor, real: float) -> dict[str, Estimate]:
    background = np.load(paths.REFERENCE / real_digits.BACKGROUND, allow_pickle=False)
    found = ink(images, labels, background)
    return {**found, "stroke_gap": stroke_gap(found["saturated"], real)}


def _pixels(values: dict[str, float | None], real: dict[str, float]) -> dict[str, Any]:
    return {
        **{name: values[name] for name in (*real, "stroke_gap")},
        **{f"{name}_real": value for name, value in real.items()},
    }
