"""train: one denoiser, from its run's settings to models/<run>/."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from mnist_diffusion.dataset.pixels import to_tensor, to_uint8
from mnist_diffusion.dataset.splits import load_split
from mnist_diffusion.diffusion.forward import add_noise
from mnist_diffusion.diffusion.schedules import CLEAN, SCHEDULES, Schedule, zero_terminal_snr
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json, write_json
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.provenance.digests import array_digest, arrays_digest
from mnist_diffusion.provenance.inputs import snapshot_inputs
from mnist_diffusion.provenance.manifest import publish_folder
from mnist_diffusion.provenance.schedule_card import schedule_card
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.runtime.locks import recreate_dir
from mnist_diffusion.runtime.progress_bar import track
from mnist_diffusion.runtime.resumption import Resumption
from mnist_diffusion.runtime.seeds import derive_seed, generator, seeded
from mnist_diffusion.settings import Run, Settings
from mnist_diffusion.stages.outcome import Outcome
from mnist_diffusion.training import run_state
from mnist_diffusion.training.denoising import Denoising
from mnist_diffusion.training.loop import build_optimizers, fit
from mnist_diffusion.training.optim import ExponentialAverage
from mnist_diffusion.training.run_state import History, RunState, Snapshots, with_checkpoints

NOISING_FRAMES = 11


def run(settings: Settings, name: str) -> Outcome:
    """Train the run's network and publish weights, schedule, history and manifest."""
    device = configure(settings.compute)
    inputs = snapshot_inputs(__name__, name, settings, parameters, [paths.PREPARED], device)
    resumption = Resumption(f"train@{name}", inputs.key, run_state.__file__)
    images, labels = load_split("train")
    run_settings = settings.runs[name]
    schedule = _schedule(settings, run_settings)
    network = _build(settings, run_settings).to(device)
    objective = _objective(settings, run_settings, schedule, images, labels, device)
    history, snapshots = _train(network, objective, settings, name, resumption)

    folder = recreate_dir(paths.model(name))
    checkpoint.save(folder, network, _config(network, settings, run_settings))
    history.write(folder)
    snapshots.write(folder)
    _write_schedule(folder, schedule, images[0], run_settings.seed)
    details = _details(folder, network, schedule, history, images, labels)
    publish_folder(folder, inputs, **details)
    resumption.clear()
    recipe = settings.train.recipes[run_settings.recipe]
    return Outcome(recipe.steps * recipe.batch_size, resumption.earlier_seconds)


def parameters(settings: Settings, name: str) -> dict[str, Any]:
    """Everything that decides the weights, flat, besides the digits; lists become text."""
    run_settings = settings.runs[name]
    parts = _parts(settings, run_settings)
    return {
        **run_settings.model_dump(),
        "timesteps": settings.train.timesteps,
        "label_dropout": settings.train.label_dropout,
        "log_every": settings.train.log_every,
        "snapshots": settings.train.snapshots,
        **{f"weighting_{key}": value for key, value in parts["weighting"].items()},
        **{f"timesteps_{key}": value for key, value in parts["timestep_sampling"].items()},
        **{f"network_{key}": _flat(value) for key, value in parts["sizes"].items()},
        "recipe_name": run_settings.recipe,
        **settings.train.recipes[run_settings.recipe].model_dump(),
    }


def _parts(settings: Settings, run_settings: Run) -> dict[str, dict[str, Any]]:
    """The sections of the settings that a run names."""
    weightings = settings.train.weightings.model_dump(by_alias=True)
    samplings = settings.train.timestep_samplings.model_dump()
    return {
        "sizes": getattr(settings.networks, run_settings.network).model_dump(),
        "weighting": weightings[run_settings.weighting],
        "timestep_sampling": samplings[run_settings.timestep_sampling],
    }


def _flat(value: object) -> object:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value


def _objective(
    settings: Settings,
    run_settings: Run,
    schedule: Schedule,
    images: np.ndarray,
    labels: np.ndarray,
    device: torch.device,
) -> Denoising:
    return Denoising(
        torch.from_numpy(images),
        torch.from_numpy(labels),
        run_settings,
        settings.train,
        schedule,
        batch_size=settings.train.recipes[run_settings.recipe].batch_size,
        device=device,
    )


def _schedule(settings: Settings, run_settings: Run) -> Schedule:
    schedule = SCHEDULES[run_settings.schedule](settings.train.timesteps)
    return zero_terminal_snr(schedule) if run_settings.zero_terminal_snr else schedule


def _build(settings: Settings, run_settings: Run) -> nn.Module:
    sizes = _parts(settings, run_settings)["sizes"]
    seed = derive_seed(run_settings.seed, "train/weights")
    return seeded(lambda: checkpoint.build(run_settings.network, sizes), seed)


def _train(
    network: nn.Module,
    objective: Denoising,
    settings: Settings,
    name: str,
    resumption: Resumption,
) -> tuple[History, Snapshots]:
    """Train, on from what a killed run has kept; leaves the averaged weights in the network."""
    recipe = settings.train.recipes[settings.runs[name].recipe]
    average = ExponentialAverage(network, recipe.ema)
    history = History(settings.train.timesteps, recipe.batch_size, settings.train.log_every)
    optimizers = build_optimizers(network, recipe)
    snapshots = Snapshots(network, average, recipe.steps, settings.train.snapshots)
    training = RunState(network, optimizers, average, objective.timesteps, history, snapshots)
    kept = resumption.load()
    start = training.restore(*kept) if kept else 0
    if start:
        sys.stderr.write(f"resuming {resumption.address} at step {start}\n")
    steps = fit(network, objective, recipe, average, optimizers, start)
    for _ in track(
        with_checkpoints(steps, training, resumption),
        total=recipe.steps,
        description=name,
        unit="img",
        scale=recipe.batch_size,
        done=start,
    ):
        pass
    average.copy_to(network)
    network.eval()
    return history, snapshots


def _config(network: nn.Module, settings: Settings, run_settings: Run) -> dict[str, Any]:
    parts = _parts(settings, run_settings)
    return {
        "network": {"name": run_settings.network, "sizes": parts["sizes"]},
        "parameters": sum(p.numel() for p in network.parameters()),
        "recipe": settings.train.recipes[run_settings.recipe].model_dump(),
        "run": run_settings.model_dump(),
        "train": {
            "timesteps": settings.train.timesteps,
            "label_dropout": settings.train.label_dropout,
            "weighting": parts["weighting"],
            "timestep_sampling": parts["timestep_sampling"],
        },
    }


def _write_schedule(folder: Path, schedule: Schedule, digit: np.ndarray, seed: int) -> None:
    """The betas themselves, a table of what they amount to, and one digit as it drowns."""
    np.save(folder / "betas.npy", schedule.betas.numpy(), allow_pickle=False)
    log_snr = 2 * schedule.level(torch.arange(schedule.timesteps)).half_log_snr
    columns = {"beta": schedule.betas, "alpha_bar": schedule.alphas_bar, "log_snr": log_snr}
    table = pd.DataFrame({key: value.numpy() for key, value in columns.items()})
    table.to_csv(folder / "schedule.csv", index_label="t", lineterminator="\n")
    steps = torch.linspace(CLEAN, schedule.timesteps - 1, NOISING_FRAMES).round().long()
    noise = torch.randn(1, 1, 28, 28, generator=generator(seed, "train/noising"))
    noisy = add_noise(to_tensor(digit[None]), noise, schedule.level(steps.view(-1, 1, 1, 1)))
    np.save(folder / "noising.npy", to_uint8(noisy), allow_pickle=False)
    write_json(folder / "noising.json", {"timesteps": steps.tolist()})


def _details(
    folder: Path,
    network: nn.Module,
    schedule: Schedule,
    history: History,
    images: np.ndarray,
    labels: np.ndarray,
) -> dict[str, Any]:
    """What a run's manifest has to say beyond that of any stage."""
    card = schedule_card(schedule)
    return {
        "training": read_json(folder / checkpoint.CONFIG),
        "schedule": card,
        "final_loss": history.rows[-1]["loss"],
        "inputs": {"images_sha256": array_digest(images), "labels_sha256": array_digest(labels)},
        "outputs": {
            "weights_sha256": arrays_digest(checkpoint.weights(network)),
            "betas_sha256": card["betas_sha256"],
        },
    }
