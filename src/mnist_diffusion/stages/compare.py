"""compare: every cell of the report's tables against its baselines, image by image."""

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from mnist_diffusion.dataset.scaling import to_tensor
from mnist_diffusion.evaluation.comparison import (
    LOWER_IS_BETTER,
    NETWORKS,
    Arena,
    holm,
    verdict,
)
from mnist_diffusion.evaluation.embedding import embed
from mnist_diffusion.evaluation.features import judge
from mnist_diffusion.evaluation.pairing import Judged, Pair, pairs, unmatched
from mnist_diffusion.evaluation.real import load_statistics
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json, write_json
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.autoencoder import Autoencoder
from mnist_diffusion.provenance.digests import arrays_digest
from mnist_diffusion.provenance.environment import environment
from mnist_diffusion.provenance.folders import read_manifest
from mnist_diffusion.provenance.origin import code_card, origin
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.runtime.progress_bar import track
from mnist_diffusion.settings import Settings

UNMATCHED = "no baseline of the table was asked for the same digits"


def run(settings: Settings) -> None:
    """Judge every cell of the tables, and compare."""
    device = configure(settings.compute)
    tables = _tables(settings)
    cells = list(dict.fromkeys(cell for names in tables.values() for cell in names))
    inputs = [*map(paths.samples, cells), paths.CLASSIFIER, paths.AUTOENCODER, paths.REFERENCE]
    taken = origin(__name__, None, settings, parameters, inputs)
    classifier = checkpoint.load(paths.CLASSIFIER)[0].to(device)
    autoencoder = cast(Autoencoder, checkpoint.load(paths.AUTOENCODER)[0]).to(device)
    judged = {cell: _judged(cell, classifier, autoencoder, device) for cell in cells}
    references = {network: load_statistics(network) for network in NETWORKS.values()}
    arena = Arena(judged, references, **settings.evaluate.model_dump())
    baselines = settings.compare.baselines.model_dump()
    chosen = {table: pairs(names, baselines[table], judged) for table, names in tables.items()}
    report = {
        "level": settings.evaluate.level,
        "resamples": settings.evaluate.resamples,
        "comparisons": list(_rows(chosen, arena, settings.evaluate.level)),
        "left_out": [
            {"table": table, "cell": cell, "why": UNMATCHED}
            for table, names in tables.items()
            for cell in unmatched(names, baselines[table], judged)
        ],
        "classifier_sha256": arrays_digest(checkpoint.weights(classifier)),
        "autoencoder_sha256": arrays_digest(checkpoint.weights(autoencoder)),
        "reference_sha256": read_json(paths.REFERENCE_REPORT)["reference_sha256"],
        "made_from": taken.made_from,
        "code": code_card(taken),
        "environment": environment(device),
    }
    taken.verify()
    write_json(paths.COMPARISONS, report)


def parameters(settings: Settings) -> dict[str, Any]:
    """Which cells meet, and how often they are resampled."""
    return {
        **settings.evaluate.model_dump(),
        "tables": _tables(settings),
        "baselines": settings.compare.baselines.model_dump(),
    }


def _tables(settings: Settings) -> dict[str, list[str]]:
    return {table: list(getattr(settings.report, table)) for table, _ in settings.compare.baselines}


def _judged(
    cell: str, classifier: nn.Module, autoencoder: Autoencoder, device: torch.device
) -> Judged:
    folder = paths.samples(cell)
    images = np.load(folder / "images.npy", allow_pickle=False)
    labels = np.load(folder / "labels.npy", allow_pickle=False)
    pixels = to_tensor(images)
    manifest = read_manifest(folder)
    return Judged(
        judge(classifier, pixels, device),
        embed(autoencoder, pixels, device),
        torch.from_numpy(labels),
        guidance=manifest["parameters"]["guidance"],
        seed=manifest["training"]["run"]["seed"],
    )


def _rows(chosen: dict[str, list[Pair]], arena: Arena, level: float) -> Iterator[dict[str, Any]]:
    """Every comparison, p-values adjusted within a table and a metric."""
    total = sum(len(found) for found in chosen.values())
    differences = {
        (table, pair): arena.differences(pair)
        for table, pair in track(
            [(table, pair) for table, found in chosen.items() for pair in found],
            total=total,
            description="compare",
            unit="pair",
        )
    }
    for table in chosen:
        for metric in LOWER_IS_BETTER:
            yield from _family(table, metric, differences, level)


def _family(
    table: str, metric: str, differences: dict[Any, Any], level: float
) -> Iterator[dict[str, Any]]:
    family = [
        (pair, found[metric])
        for (where, pair), found in differences.items()
        if where == table and metric in found
    ]
    adjusted = holm([found.p for _, found in family])
    for (pair, found), p in zip(family, adjusted, strict=True):
        yield {
            "table": table,
            "baseline": pair.baseline,
            "cell": pair.cell,
            "metric": metric,
            "difference": found.value,
            "interval": list(found.interval),
            "p": found.p,
            "p_holm": p,
            "verdict": verdict(found.value, p, level, LOWER_IS_BETTER[metric]),
            "n": pair.n,
            "training_seeds": 1,
        }
