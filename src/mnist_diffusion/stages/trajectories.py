"""trajectories: how drawing goes about it, to reports/trajectories.json.

How far solvers end from the exact solution of the same noise, and in which order structure settles
in the predicted image, beside real digits in noise, which no model has seen.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mnist_diffusion.dataset.pixels import to_tensor
from mnist_diffusion.dataset.splits import load_split
from mnist_diffusion.diffusion.spacings import levels
from mnist_diffusion.evaluation.settling import settled
from mnist_diffusion.files import paths
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.pipeline import Outcome
from mnist_diffusion.provenance.digests import arrays_digest
from mnist_diffusion.provenance.lineage import publish_report, snapshot_inputs
from mnist_diffusion.provenance.schemas.claim_reports import TrajectoriesReport
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.runtime.progress_bar import track
from mnist_diffusion.runtime.seeds import PerImageNoise
from mnist_diffusion.sampling.denoiser import TrainedDenoiser, load_denoiser
from mnist_diffusion.sampling.draw import start, walk
from mnist_diffusion.settings import Cell, ResolvedCell, Settings
from mnist_diffusion.settings.claims import Solver
from mnist_diffusion.settings.resolve import resolve_cell

NYQUIST = 20.0
"""Cycles an image beyond which a picture of 28 pixels has nothing."""


@torch.inference_mode()
def run(settings: Settings) -> Outcome:
    """Follow the same noise along every solver, and a path of predictions."""
    device, chosen = configure(settings.compute), settings.trajectories
    model = paths.model(chosen.run)
    inputs = snapshot_inputs(__name__, None, settings, parameters, [model, paths.PREPARED], device)
    denoiser = load_denoiser(model, device)
    exact, _ = _end(settings, denoiser, chosen.exact)
    solvers = {"check": chosen.check, **chosen.solvers}
    errors = {
        name: _error(exact, *_end(settings, denoiser, solver))
        for name, solver in track(
            solvers.items(), total=len(solvers), description="trajectories", unit="solver"
        )
    }
    report = {
        "run": chosen.run,
        "weights_sha256": arrays_digest(checkpoint.weights(denoiser.network)),
        "exact": errors.pop("check"),
        "solvers": errors,
        "predicted": _order(settings, *_predicted(settings, denoiser)),
        "noise": _order(settings, *_noised(settings, denoiser)),
    }
    publish_report(paths.TRAJECTORIES, inputs, TrajectoriesReport, **report)
    return Outcome(chosen.count * (len(solvers) + 1) + chosen.images)


def parameters(settings: Settings) -> dict[str, Any]:
    """Solvers and images, and what all cells share."""
    sample = settings.sample.model_dump()
    return {"trajectories": settings.trajectories.model_dump(), "sample": sample}


def _cell(settings: Settings, solver: Solver) -> ResolvedCell:
    chosen = settings.trajectories
    drawn = Cell(run=chosen.run, eta=0.0, guidance=chosen.guidance, **solver.model_dump())
    return resolve_cell(drawn, settings.sample)


def _batches(settings: Settings, count: int) -> Iterator[range]:
    size = settings.sample.micro_batch
    return (range(first, min(first + size, count)) for first in range(0, count, size))


def _end(settings: Settings, denoiser: TrainedDenoiser, solver: Solver) -> tuple[Tensor, int]:
    """Images, (count, 1, 28, 28), and the network evaluations that each took."""
    counted, counter = denoiser.counted()
    cell, chosen = _cell(settings, solver), settings.trajectories
    ends, batches = [], 0
    for indices in _batches(settings, chosen.count):
        batches += 1
        noise = start(denoiser, chosen.seed, indices)
        end, _ = deque(walk(counted, cell, chosen.seed, indices, noise), maxlen=1).pop()
        ends.append(end.cpu())
    return torch.cat(ends), counter.calls // batches


def _error(exact: Tensor, drawn: Tensor, evaluations: int) -> dict[str, Any]:
    squares = (drawn - exact).double().square().mean(dim=(1, 2, 3))
    rounded = [float(f"{square:.6g}") for square in squares.tolist()]
    return {"evaluations": evaluations, "rmse": float(np.mean(rounded) ** 0.5), "squares": rounded}


def _predicted(settings: Settings, denoiser: TrainedDenoiser) -> tuple[np.ndarray, np.ndarray]:
    """The predicted clean images along the path, (steps, k, 28, 28), and the finished ones."""
    chosen = settings.trajectories
    cell = _cell(settings, chosen.path)
    frames, ends = [], []
    for indices in _batches(settings, chosen.images):
        noise = start(denoiser, chosen.seed, indices)
        pairs = list(walk(denoiser, cell, chosen.seed, indices, noise))
        frames.append(torch.stack([x0[:, 0].cpu() for _, x0 in pairs]))
        ends.append(pairs[-1][0][:, 0].cpu())
    return torch.cat(frames, dim=1).double().numpy(), torch.cat(ends).double().numpy()


def _noised(settings: Settings, denoiser: TrainedDenoiser) -> tuple[np.ndarray, np.ndarray]:
    """Real test digits at the levels that predictions are made at, and clean."""
    chosen = settings.trajectories
    clean = to_tensor(load_split("test").images[: chosen.images])
    noise = PerImageNoise(
        chosen.seed, "trajectories/noise", range(len(clean)), denoiser.space.shape
    )()
    cell = _cell(settings, chosen.path)
    path = levels(denoiser.schedule, cell.steps, cell.spacing)[:-1]
    frames = [(at.alpha * clean + at.sigma * noise)[:, 0] for at in path]
    return torch.stack(frames).double().numpy(), clean[:, 0].double().numpy()


def _order(settings: Settings, frames: np.ndarray, last: np.ndarray) -> dict[str, list[float]]:
    chosen = settings.trajectories
    bands = {"coarse": (0.0, chosen.coarse), "fine": (chosen.fine, NYQUIST)}
    return {name: settled(frames, last, *band).tolist() for name, band in bands.items()}
