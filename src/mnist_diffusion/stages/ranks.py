"""ranks: the cells ranked by every judge, to reports/ranks.json, and where judges disagree."""

from itertools import combinations
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from mnist_diffusion.dataset.pixels import to_tensor
from mnist_diffusion.evaluation.estimates import Estimate
from mnist_diffusion.evaluation.features import classify, load_cell
from mnist_diffusion.evaluation.frechet import ReferenceStatistics, fd_infinity
from mnist_diffusion.evaluation.ranks import agreement, disagreements, ranks
from mnist_diffusion.evaluation.real_digits import STATISTICS
from mnist_diffusion.files import paths
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.judges import JUDGES
from mnist_diffusion.provenance.digests import arrays_digest
from mnist_diffusion.provenance.lineage import publish_report, snapshot_inputs
from mnist_diffusion.provenance.schemas.rank_report import RanksReport
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.runtime.progress_bar import track
from mnist_diffusion.settings import Settings

MAIN = "classifier"
"""The judge whose distances all other pages show."""


class Judge:
    """A classifier, and the training digits by it."""

    def __init__(self, weights: Path, statistics: Path, count: int, device: torch.device):
        network, _ = checkpoint.load(weights, JUDGES)
        self.network: nn.Module = network.to(device)
        self.known = ReferenceStatistics(**load_file(statistics / STATISTICS), count=count)
        self.device = device

    def judge(self, cell: str, seed: int) -> tuple[Estimate, float | None]:
        """FD∞ of a cell, and its accuracy where digits were asked for."""
        images, asked = load_cell(cell)
        labels = torch.from_numpy(asked)
        found = classify(self.network, to_tensor(images), self.device)
        distance = fd_infinity(found.features, labels, self.known, seed)
        right = (found.seen == labels).double().mean()
        return distance, float(right) if (labels >= 0).all() else None


def run(settings: Settings) -> None:
    """Judge every cell by every judge, and compare the orders."""
    device = configure(settings.compute)
    cells = ranked_cells(settings)
    files = [*map(paths.samples, cells), paths.CLASSIFIER, paths.REFERENCE, paths.JUDGES]
    inputs = snapshot_inputs(__name__, None, settings, parameters, files, device)
    count, names = settings.prepare.train, [MAIN, *settings.judges]
    folders = [(paths.CLASSIFIER, paths.REFERENCE)]
    folders += [(paths.JUDGES / name, paths.JUDGES / name) for name in settings.judges]
    judges = {
        name: Judge(*places, count, device) for name, places in zip(names, folders, strict=True)
    }
    seed, level = settings.evaluate.seed, settings.evaluate.level
    every = track(cells, total=len(cells), description="ranks", unit="cell")
    found = {cell: {name: one.judge(cell, seed) for name, one in judges.items()} for cell in every}
    distances = {name: {cell: found[cell][name][0] for cell in cells} for name in names}
    report = {
        "n": settings.sample.count,
        "level": level,
        "judges": {
            name: arrays_digest(checkpoint.weights(one.network)) for name, one in judges.items()
        },
        "cells": [
            {
                "cell": cell,
                "judge": name,
                "fd_infinity": found[cell][name][0].value,
                "error": found[cell][name][0].error,
                "accuracy": found[cell][name][1],
                "rank": place,
            }
            for name in names
            for cell, place in ranks(distances[name]).items()
        ],
        "agreement": [
            {"judge": one, "other": other, "tau": agreement(distances[one], distances[other])}
            for one, other in combinations(names, 2)
        ],
        "disagreements": disagreements(distances, level),
    }
    publish_report(paths.RANKS, inputs, RanksReport, **report)


def parameters(settings: Settings) -> dict[str, Any]:
    """Which cells are ranked, and how sure of a difference we want to be."""
    return {**settings.evaluate.model_dump(), "cells": ranked_cells(settings)}


def ranked_cells(settings: Settings) -> list[str]:
    """Those of as many images as most have: distances of other n have no place among them."""
    usual = settings.sample.count
    return [name for name, cell in settings.cells.items() if cell.count in (None, usual)]
