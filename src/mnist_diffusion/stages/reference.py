"""reference: the real digits in the judge's eyes, and what other real digits score."""

from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from mnist_diffusion import paths
from mnist_diffusion.compute import configure
from mnist_diffusion.dataset.scaling import to_tensor
from mnist_diffusion.dataset.splits import load_split
from mnist_diffusion.evaluation.distances import (
    ReferenceStatistics,
    frechet_distance,
    relative_distance,
)
from mnist_diffusion.evaluation.features import Judgement, judge
from mnist_diffusion.jsonfile import read_json, write_json
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.progress import track
from mnist_diffusion.provenance.digests import arrays_digest
from mnist_diffusion.provenance.environment import environment
from mnist_diffusion.provenance.folders import MANIFEST, read_manifest
from mnist_diffusion.provenance.manifest import publish
from mnist_diffusion.provenance.origin import origin
from mnist_diffusion.randomness import generator
from mnist_diffusion.settings import Settings
from mnist_diffusion.stages.record import Record

STATISTICS = "statistics.safetensors"
FEATURES = "features.safetensors"


def run(settings: Settings) -> None:
    """Features of the training digits, their statistics, and the floor at the cells' n."""
    device = configure(settings.compute)
    taken = origin(__name__, None, settings, parameters, [paths.PREPARED, paths.CLASSIFIER])
    network, _ = checkpoint.load(paths.CLASSIFIER)
    network.to(device)
    judged = {
        split: judge(network, to_tensor(load_split(split).images), device)
        for split in ("train", "test")
    }
    reference = ReferenceStatistics.of(judged["train"].features)
    tensors = {"mean": reference.mean, "covariance": reference.covariance}
    paths.REFERENCE.mkdir(parents=True, exist_ok=True)
    save_file(tensors, paths.REFERENCE / STATISTICS)

    save_file({key: j.features for key, j in judged.items()}, paths.REFERENCE / FEATURES)
    labels = torch.from_numpy(load_split("test").labels)
    report = {
        "n": reference.count,
        "n_test": len(labels),
        "features": len(reference.mean),
        "trace": reference.trace,
        "classifier_sha256": arrays_digest(checkpoint.weights(network)),
        "reference_sha256": arrays_digest(tensors),
        "floors": {
            str(n): _floor(reference, judged["test"], labels, n, settings)
            for n in (settings.sample.count,)
        },
    }
    write_json(paths.REFERENCE_REPORT, report)
    publish(
        paths.REFERENCE,
        taken,
        environment(device),
        reports=[paths.REFERENCE_REPORT],
    )


def parameters(settings: Settings) -> dict[str, Any]:
    """What decides the floor, besides the digits and the judge."""
    return {**settings.reference.model_dump(), "count": settings.sample.count}


def record(settings: Settings) -> Record:
    """What was published, for tracking."""
    report = read_json(paths.REFERENCE_REPORT)
    return Record(
        params=read_manifest(paths.REFERENCE)["parameters"],
        metrics={
            f"floor_{metric}_n{n}": spread["mean"]
            for n, floor in report["floors"].items()
            for metric, spread in floor.items()
        },
        tags={key: report[key] for key in ("classifier_sha256", "reference_sha256")},
        artifacts=[paths.REFERENCE_REPORT, paths.REFERENCE / MANIFEST],
        images=report["n"] + report["n_test"],
    )


def _floor(
    reference: ReferenceStatistics, judged: Judgement, labels: Tensor, n: int, settings: Settings
) -> dict[str, dict[str, float]]:
    """Each metric over random sets of n real test digits: mean, lowest and highest.

    A set of all test digits is always the same one, and drawn once.
    """
    distances, accuracies = [], []
    repeats = settings.reference.repeats if n < len(labels) else 1
    for k in track(range(repeats), total=repeats, description=f"floor at n={n}", unit="set"):
        chosen = torch.randperm(
            len(labels), generator=generator(settings.reference.seed, "reference/floor", k)
        )[:n]
        distances.append(frechet_distance(reference, judged.features[chosen]))
        seen = judged.probabilities[chosen].argmax(dim=1)
        accuracies.append(float((seen == labels[chosen]).double().mean()))
    relative = [relative_distance(d, reference) for d in distances]
    return {
        "fd": _spread(distances),
        "relative_fd": _spread(relative),
        "accuracy": _spread(accuracies),
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {"mean": sum(values) / len(values), "low": min(values), "high": max(values)}
