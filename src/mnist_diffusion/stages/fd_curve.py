"""fd_curve: how good a run's images were along its training, to reports/fd_curve/<run>.json.

A few of the images stay in data/snapshots/<run>.npy.
"""

from typing import Any

import numpy as np
import torch

from mnist_diffusion.dataset.pixels import to_tensor, to_uint8
from mnist_diffusion.evaluation.features import classify
from mnist_diffusion.evaluation.frechet import distances
from mnist_diffusion.evaluation.real_digits import load_statistics
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.judges import JUDGES
from mnist_diffusion.pipeline import Outcome
from mnist_diffusion.provenance.digests import array_digest
from mnist_diffusion.provenance.lineage import publish_report, read_manifest, snapshot_inputs
from mnist_diffusion.provenance.schemas.cell_reports import FdCurveReport
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.runtime.progress_bar import track
from mnist_diffusion.sampling.denoiser import load_denoiser
from mnist_diffusion.sampling.draw import draw
from mnist_diffusion.settings import Cell, ResolvedCell, Settings
from mnist_diffusion.settings.resolve import resolve_cell

KEPT = 20
"""Images of each snapshot that stay, two of each digit."""


def run(settings: Settings, name: str) -> Outcome:
    """Draw a few images from each snapshot of the run, from the same noise, and judge them."""
    device = configure(settings.compute)
    folder = paths.model(name)
    files = [folder, paths.CLASSIFIER, paths.REFERENCE]
    inputs = snapshot_inputs(__name__, name, settings, parameters, files, device)
    classifier, _ = checkpoint.load(paths.CLASSIFIER, JUDGES)
    classifier.to(device)
    denoiser = load_denoiser(folder, device)
    described = read_json(paths.REFERENCE_REPORT)
    reference = load_statistics()
    batch_size = read_manifest(folder)["parameters"]["recipe"]["batch_size"]
    points, kept = [], []
    snapshots = checkpoint.snapshots(folder)
    for step, path in track(snapshots, total=len(snapshots), description=name, unit="snapshot"):
        checkpoint.load_weights(denoiser.network, path)
        batches = draw(denoiser, _cell(settings, name), settings.sample)
        images = to_uint8(torch.cat([batch.images for batch in batches]))
        features = classify(classifier, to_tensor(images), device).features
        point = {"step": step, "images": step * batch_size, "samples_sha256": array_digest(images)}
        points.append(point | distances(features, reference))
        kept.append(images[:KEPT])
    floor = described["floors"][str(settings.fd_curve.count)]
    report = {
        "run": name,
        **inputs.parameters,
        "points": points,
        "digits_sha256": array_digest(np.stack(kept)),
        "fd_floor": floor["fd"]["mean"],
        "relative_fd_floor": floor["relative_fd"]["mean"],
    }
    paths.snapshots(name).parent.mkdir(parents=True, exist_ok=True)
    np.save(paths.snapshots(name), np.stack(kept), allow_pickle=False)
    publish_report(paths.fd_curve(name), inputs, FdCurveReport, **report)
    return Outcome(settings.fd_curve.count * len(points))


def parameters(settings: Settings, name: str) -> dict[str, Any]:
    """How the images are drawn: conditional ones unguided, the others unasked."""
    asked = settings.runs[name].conditioning != "uncond"
    return {**settings.fd_curve.model_dump(exclude={"runs"}), "guidance": 1.0 if asked else 0.0}


def _cell(settings: Settings, name: str) -> ResolvedCell:
    """The way that all runs' snapshots are drawn: as a cell with every choice at its default."""
    held: dict[str, Any] = {"x0_bound": "none"} if settings.runs[name].codec else {}
    cell = Cell(run=name, eta=0.0, **parameters(settings, name), **held)
    return resolve_cell(cell, settings.sample)
