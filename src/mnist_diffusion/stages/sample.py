"""sample: one sample set, from a trained denoiser to data/samples/<cell>/."""

from pathlib import Path

import numpy as np
import torch

from mnist_diffusion import paths
from mnist_diffusion.compute import configure
from mnist_diffusion.dataset.scaling import to_uint8
from mnist_diffusion.diffusion.schedules import Schedule
from mnist_diffusion.diffusion.spacings import levels
from mnist_diffusion.errors import UserError
from mnist_diffusion.jsonfile import read_json, write_json
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.progress import track
from mnist_diffusion.provenance.card import card
from mnist_diffusion.provenance.digests import array_digest, arrays_digest, code_digest
from mnist_diffusion.provenance.environment import environment
from mnist_diffusion.provenance.imports import source_files
from mnist_diffusion.sampling.denoiser import TrainedDenoiser
from mnist_diffusion.sampling.draw import draw, labels_for, trajectory_steps
from mnist_diffusion.settings import Choices, Sample, Settings, WholeCell
from mnist_diffusion.stages.record import Record


def run(settings: Settings, name: str) -> Record:
    """Draw the cell's images and publish them with labels, trajectory and manifest."""
    cell = settings.cell(name)
    device = configure(settings.compute)
    folder = paths.model(cell.run)
    network, config = checkpoint.load(folder)
    schedule = Schedule(torch.from_numpy(np.load(folder / "betas.npy", allow_pickle=False)))
    prediction = config["run"]["prediction"]
    denoiser = TrainedDenoiser(network.to(device), schedule, prediction, device)

    arrays, evaluations = _draw(denoiser, cell, settings.sample, name)
    target = paths.samples(name)
    target.mkdir(parents=True, exist_ok=True)
    for key, array in arrays.items():
        np.save(target / f"{key}.npy", array, allow_pickle=False)
    manifest = _manifest(name, cell, settings, denoiser, config, arrays)
    manifest["network_evaluations"] = evaluations
    # Written last: a sample set with a manifest is whole.
    write_json(target / "manifest.json", manifest)
    return _record(manifest, target, settings.sample.count)


def _draw(
    denoiser: TrainedDenoiser, cell: WholeCell, sample: Sample, name: str
) -> tuple[dict[str, np.ndarray], int]:
    """What a sample set holds, and the network evaluations that an image of it took."""
    total = -(-sample.count // sample.micro_batch)
    batches = list(
        track(
            draw(denoiser, cell, sample),
            total=total,
            description=name,
            unit="img",
            scale=sample.micro_batch,
        )
    )
    if not all(bool(batch.images.isfinite().all()) for batch in batches):
        raise UserError(f"cells.{name}: images are not finite; lower the guidance or retrain")
    frames = [to_uint8(frame[:, None]) for frame in torch.cat([b.trajectory for b in batches], 1)]
    arrays = {
        "images": to_uint8(torch.cat([b.images for b in batches])),
        "labels": labels_for(sample.count, cell.guidance),
        "trajectory": np.stack(frames),
    }
    return arrays, batches[0].evaluations


def _manifest(
    name: str,
    cell: WholeCell,
    settings: Settings,
    denoiser: TrainedDenoiser,
    config: dict[str, dict[str, object]],
    arrays: dict[str, np.ndarray],
) -> dict[str, object]:
    path = levels(denoiser.schedule, cell.steps, cell.spacing)
    inputs = _inputs(denoiser, paths.model(cell.run))
    visited = [int(level.t) for level in path]
    return {
        "schema": 1,
        "cell": name,
        "parameters": _parameters(cell, settings, config),
        "training": config,
        "schedule": {
            **card(denoiser.schedule),
            "first_step_signal": float(path[0].alpha),
        },
        "trajectory_timesteps": [visited[k] for k in trajectory_steps(cell.steps)],
        "inputs": inputs,
        "outputs": {f"{key}_sha256": array_digest(array) for key, array in arrays.items()},
        "code_sha256": code_digest(source_files(__name__)),
        "environment": environment() | {"device": str(denoiser.device)},
    }


def _parameters(
    cell: WholeCell, settings: Settings, config: dict[str, dict[str, object]]
) -> dict[str, object]:
    """Everything that made the images, flat: the cell, what cells share, and the run's own config.

    Lists become text, for these parameters are MLflow's too. The run's part comes from the
    checkpoint, not from params.yaml: it is what was trained.
    """
    shared = settings.sample.model_dump(exclude=set(Choices.model_fields))
    interval = cell.guidance_interval
    trained = dict(config["run"])
    seeds = {"sample_seed": shared.pop("seed"), "train_seed": trained.pop("seed")}
    return {
        **cell.model_dump(),
        "guidance_interval": f"{interval[0]} to {interval[1]}" if interval else "all",
        **shared,
        **trained,
        **seeds,
        "train_steps": config["recipe"]["steps"],
        "batch_size": config["recipe"]["batch_size"],
        "ema": config["recipe"]["ema"],
        "label_dropout": config["train"]["label_dropout"],
        "last_step": "x0",
    }


def _inputs(denoiser: TrainedDenoiser, folder: Path) -> dict[str, str]:
    trained = read_json(folder / "manifest.json")
    return {
        "weights_sha256": arrays_digest(checkpoint.weights(denoiser.network)),
        "betas_sha256": array_digest(denoiser.schedule.betas.numpy()),
        "train_images_sha256": trained["inputs"]["images_sha256"],
        "train_labels_sha256": trained["inputs"]["labels_sha256"],
    }


def _record(manifest: dict[str, object], target: Path, count: int) -> Record:
    nested: dict[str, dict[str, str]] = manifest  # type: ignore[assignment]
    return Record(
        params={
            **nested["parameters"],
            "network_evaluations": manifest["network_evaluations"],  # type: ignore[dict-item]
            **{f"schedule_{k}": v for k, v in nested["schedule"].items()},
        },
        tags={**nested["inputs"], **nested["outputs"], "code_sha256": str(manifest["code_sha256"])},
        artifacts=[target / "manifest.json"],
        images=count,
    )
