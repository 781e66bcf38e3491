"""train: one denoiser, from its run's settings to models/<run>/."""

import sys
from collections import deque
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
from mnist_diffusion.files.jsonfile import write_json
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.denoisers import DENOISERS
from mnist_diffusion.pipeline import Outcome
from mnist_diffusion.provenance.digests import array_digest, arrays_digest, json_digest
from mnist_diffusion.provenance.lineage import publish_folder, snapshot_inputs
from mnist_diffusion.provenance.schedule_card import schedule_card
from mnist_diffusion.runtime import ranks
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.runtime.locks import recreate_dir
from mnist_diffusion.runtime.progress_bar import track
from mnist_diffusion.runtime.resumption import Resumption
from mnist_diffusion.runtime.seeds import derive_seed, generator, seeded
from mnist_diffusion.settings import ResolvedRun, Settings
from mnist_diffusion.training.denoising import Denoising
from mnist_diffusion.training.loop import build_optimizers, fit
from mnist_diffusion.training.optim import ExponentialAverage
from mnist_diffusion.training.run_state import History, RunState, Snapshots, with_checkpoints

NOISING_FRAMES = 11


def run(settings: Settings, name: str) -> Outcome:
    """Train the run's network and publish weights, schedule, history and manifest.

    Of several processes all train, and the first alone keeps states and publishes.
    """
    device = ranks.join(configure(settings.compute))
    inputs = snapshot_inputs(__name__, name, settings, parameters, [paths.PREPARED], device)
    resumption = Resumption(f"train@{name}", inputs.key)
    images, labels = load_split("train")
    resolved = settings.run(name)
    schedule = _schedule(resolved)
    network = _build(resolved).to(device)
    digits = torch.from_numpy(images), torch.from_numpy(labels)
    objective = Denoising(*digits, resolved, schedule, device)
    ranks.require_same(inputs.key)  # here the others wait for the first to hold the lock
    history, snapshots = _train(network, objective, resolved, name, resumption)
    ranks.leave()
    if ranks.rank():
        return Outcome()

    folder = recreate_dir(paths.model(name))
    checkpoint.save(folder, network, resolved.model_dump())
    history.write(folder)
    snapshots.write(folder)
    _write_schedule(folder, schedule, images[0], resolved.run.seed)
    details = _details(network, schedule, history, images, labels)
    publish_folder(folder, inputs, **details)
    resumption.clear()
    return Outcome(resolved.images, resumption.earlier_seconds)


def parameters(settings: Settings, name: str) -> dict[str, Any]:
    """Everything that decides the weights, besides the digits."""
    return settings.run(name).model_dump()


def _schedule(resolved: ResolvedRun) -> Schedule:
    schedule = SCHEDULES[resolved.run.schedule](resolved.train.timesteps)
    return zero_terminal_snr(schedule) if resolved.run.zero_terminal_snr else schedule


def _build(resolved: ResolvedRun) -> nn.Module:
    seed = derive_seed(resolved.run.seed, "train/weights")
    return seeded(lambda: checkpoint.build(DENOISERS, **resolved.network.model_dump()), seed)


def _train(
    network: nn.Module,
    objective: Denoising,
    resolved: ResolvedRun,
    name: str,
    resumption: Resumption,
) -> tuple[History, Snapshots]:
    """Train, on from what a killed run has kept; leaves the averaged weights in the network."""
    recipe, train = resolved.recipe, resolved.train
    average = ExponentialAverage(network, recipe.ema)
    history = History(train.timesteps, recipe.batch_size, train.log_every)
    optimizers = build_optimizers(network, recipe)
    snapshots = Snapshots(network, average, recipe.steps, train.snapshots)
    training = RunState(network, optimizers, average, objective.timesteps, history, snapshots)
    kept = resumption.load()
    start = training.restore(*kept) if kept else 0
    ranks.require_same(json_digest(start))
    steps = fit(network, objective, recipe, average, optimizers, start)
    if ranks.rank():
        deque(steps, maxlen=0)
        return history, snapshots
    if start:
        sys.stderr.write(f"resuming {resumption.address} at step {start}\n")
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


def _write_schedule(folder: Path, schedule: Schedule, digit: np.ndarray, seed: int) -> None:
    """The betas themselves, a table of what they amount to, and one digit as it drowns."""
    np.save(folder / paths.BETAS, schedule.betas.numpy(), allow_pickle=False)
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
    network: nn.Module,
    schedule: Schedule,
    history: History,
    images: np.ndarray,
    labels: np.ndarray,
) -> dict[str, Any]:
    """What a run's manifest has to say beyond that of any stage."""
    card = schedule_card(schedule)
    return {
        "network_parameters": sum(p.numel() for p in network.parameters()),
        "schedule": card,
        "final_loss": history.rows[-1]["loss"],
        "inputs": {"images_sha256": array_digest(images), "labels_sha256": array_digest(labels)},
        "outputs": {
            "weights_sha256": arrays_digest(checkpoint.weights(network)),
            "betas_sha256": card["betas_sha256"],
        },
    }
