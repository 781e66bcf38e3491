"""evaluate: one sample set in the judge's eyes, to reports/metrics/<cell>.json."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from mnist_diffusion import paths
from mnist_diffusion.compute import configure
from mnist_diffusion.dataset.scaling import to_tensor
from mnist_diffusion.evaluation.accuracy import agreement, shares
from mnist_diffusion.evaluation.distances import (
    ReferenceStatistics,
    frechet_distance,
    relative_distance,
)
from mnist_diffusion.evaluation.features import Judgement, judge
from mnist_diffusion.evaluation.grid import save_grid
from mnist_diffusion.jsonfile import read_json, write_json
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.provenance.digests import array_digest, arrays_digest
from mnist_diffusion.provenance.environment import environment
from mnist_diffusion.provenance.origin import code_card, origin
from mnist_diffusion.settings import Settings
from mnist_diffusion.stages.record import Record


def run(settings: Settings, name: str) -> None:
    """Judge the cell's images."""
    device = configure(settings.compute)
    folder = paths.samples(name)
    inputs = [folder, paths.CLASSIFIER, paths.REFERENCE]
    taken = origin(__name__, name, settings, partial(parameters, name=name), inputs)
    images = np.load(folder / "images.npy", allow_pickle=False)
    labels = np.load(folder / "labels.npy", allow_pickle=False)
    network, _ = checkpoint.load(paths.CLASSIFIER)
    judged = judge(network.to(device), to_tensor(images), device)
    report = {
        "cell": name,
        "run": settings.cells[name].run,
        "n": len(images),
        "samples_sha256": array_digest(images),
        "classifier_sha256": arrays_digest(checkpoint.weights(network)),
        **_distances(judged, len(images)),
        **_agreement(judged, torch.from_numpy(labels)),
        "made_from": taken.made_from,
        "code": code_card(taken),
        "environment": environment(device),
    }
    taken.verify()
    write_json(paths.metrics(name), report)


def parameters(settings: Settings, name: str) -> dict[str, Any]:
    """Nothing but what was sampled has a say in how it is judged."""
    return {"run": settings.cells[name].run}


def record(settings: Settings, name: str) -> Record:
    """What made the cell and how it scored, for tracking."""
    report = read_json(paths.metrics(name))
    folder = paths.samples(name)
    manifest = read_json(folder / "manifest.json")
    scores = ("fd", "relative_fd", "fd_floor", "relative_fd_floor", "accuracy", "confidence")
    digits = report["accuracy_per_class"] or {}
    return Record(
        params={
            **manifest["parameters"],
            "network_evaluations": manifest["network_evaluations"],
            **{f"schedule_{k}": v for k, v in manifest["schedule"].items()},
        },
        metrics={
            **{key: report[key] for key in scores if report[key] is not None},
            **{f"accuracy_{digit}": value for digit, value in digits.items()},
            "network_evaluations": manifest["network_evaluations"],
            "n": report["n"],
        },
        tags={
            **{key: report[key] for key in report if key.endswith("_sha256")},
            **manifest["inputs"],
        },
        artifacts=[_picture(folder, name), paths.metrics(name)],
        images=report["n"],
    )


def _picture(folder: Path, name: str) -> Path:
    """A grid of the cell's images, made where nothing depends on it."""
    picture = paths.WORK / "grids" / f"{name}.png"
    images = np.load(folder / "images.npy", allow_pickle=False)
    save_grid(images, np.load(folder / "labels.npy", allow_pickle=False), picture)
    return picture


def _distances(judged: Judgement, n: int) -> dict[str, Any]:
    """FD against the real training digits, beside the floor that real test digits reach."""
    tensors = load_file(paths.REFERENCE / "statistics.safetensors")
    described = read_json(paths.REFERENCE_REPORT)
    reference = ReferenceStatistics(tensors["mean"], tensors["covariance"], described["n"])
    floor = described["floors"][str(n)]
    distance = frechet_distance(reference, judged.features)
    return {
        "fd": distance,
        "relative_fd": relative_distance(distance, reference),
        "fd_floor": floor["fd"]["mean"],
        "relative_fd_floor": floor["relative_fd"]["mean"],
        "reference_sha256": arrays_digest(tensors),
    }


def _agreement(judged: Judgement, labels: torch.Tensor) -> dict[str, Any]:
    """Accuracy where digits were asked for; null, never 0, where none were."""
    asked = bool((labels >= 0).all())
    result = agreement(judged.probabilities, labels) if asked else None
    return {
        "accuracy": result.overall if result else None,
        "accuracy_per_class": result.per_class if result else None,
        "confusion": result.confusion if result else None,
        "confidence": float(judged.probabilities.max(dim=1).values.double().mean()),
        "predicted_per_class": shares(judged.probabilities),
    }
