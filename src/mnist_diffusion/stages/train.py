"""train: one denoiser, from its run's settings to models/<run>/."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from mnist_diffusion import paths
from mnist_diffusion.compute import configure
from mnist_diffusion.dataset.scaling import to_tensor, to_uint8
from mnist_diffusion.dataset.splits import load_split
from mnist_diffusion.diffusion.forward import add_noise
from mnist_diffusion.diffusion.schedules import CLEAN, SCHEDULES, Schedule, zero_terminal_snr
from mnist_diffusion.jsonfile import write_json
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.progress import track
from mnist_diffusion.provenance.card import card
from mnist_diffusion.provenance.digests import array_digest, arrays_digest, code_digest
from mnist_diffusion.provenance.environment import environment
from mnist_diffusion.provenance.imports import source_files
from mnist_diffusion.randomness import derive_seed, generator, seeded
from mnist_diffusion.settings import Recipe, Run, Settings
from mnist_diffusion.stages.record import HistoryPoint, Record
from mnist_diffusion.training.denoising import Denoising
from mnist_diffusion.training.ema import ExponentialAverage
from mnist_diffusion.training.history import History
from mnist_diffusion.training.loop import fit

NOISING_FRAMES = 11


def run(settings: Settings, name: str) -> Record:
    """Train the run's network and publish weights, schedule, history and manifest."""
    run_settings = settings.runs[name]
    recipe = settings.train.recipes[run_settings.recipe]
    device = configure(settings.compute)
    images, labels = load_split("train")
    schedule = _schedule(settings, run_settings)
    network = _build(settings, run_settings).to(device)
    objective = Denoising(
        torch.from_numpy(images),
        torch.from_numpy(labels),
        run_settings,
        settings.train,
        schedule,
        batch_size=recipe.batch_size,
        device=device,
    )
    history = _train(network, objective, recipe, settings, name)

    folder = paths.model(name)
    config = _config(network, settings, run_settings, recipe)
    checkpoint.save(folder, network, config)
    history.write(folder)
    _write_schedule(folder, schedule, images[0], run_settings.seed)
    manifest = _manifest(network, schedule, history, images, labels, device)
    write_json(folder / "manifest.json", {"run": name, **manifest})
    return _record(folder, config, manifest, history, recipe)


def _schedule(settings: Settings, run_settings: Run) -> Schedule:
    schedule = SCHEDULES[run_settings.schedule](settings.train.timesteps)
    return zero_terminal_snr(schedule) if run_settings.zero_terminal_snr else schedule


def _build(settings: Settings, run_settings: Run) -> nn.Module:
    sizes = getattr(settings.networks, run_settings.network).model_dump()
    seed = derive_seed(run_settings.seed, "train/weights")
    return seeded(lambda: checkpoint.build(run_settings.network, sizes), seed)


def _train(
    network: nn.Module, objective: Denoising, recipe: Recipe, settings: Settings, name: str
) -> History:
    """Train, and leave the averaged weights in the network."""
    average = ExponentialAverage(network, recipe.ema)
    history = History(settings.train.timesteps, recipe.batch_size, settings.train.log_every)
    steps = fit(network, objective, recipe, average)
    for step in track(
        steps, total=recipe.steps, description=name, unit="img", scale=recipe.batch_size
    ):
        history.add(step)
    average.copy_to(network)
    network.eval()
    return history


def _config(
    network: nn.Module, settings: Settings, run_settings: Run, recipe: Recipe
) -> dict[str, object]:
    sizes = getattr(settings.networks, run_settings.network).model_dump()
    weightings = settings.train.weightings.model_dump(by_alias=True)
    samplings = settings.train.timestep_samplings.model_dump()
    return {
        "network": {"name": run_settings.network, "sizes": sizes},
        "parameters": sum(p.numel() for p in network.parameters()),
        "recipe": recipe.model_dump(),
        "run": run_settings.model_dump(),
        "train": {
            "timesteps": settings.train.timesteps,
            "label_dropout": settings.train.label_dropout,
            "weighting": weightings[run_settings.weighting],
            "timestep_sampling": samplings[run_settings.timestep_sampling],
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


def _manifest(
    network: nn.Module,
    schedule: Schedule,
    history: History,
    images: np.ndarray,
    labels: np.ndarray,
    device: torch.device,
) -> dict[str, object]:
    schedule_card = card(schedule)
    return {
        "schema": 1,
        "schedule": schedule_card,
        "final_loss": history.rows[-1]["loss"],
        "inputs": {"images_sha256": array_digest(images), "labels_sha256": array_digest(labels)},
        "outputs": {
            "weights_sha256": arrays_digest(checkpoint.weights(network)),
            "betas_sha256": schedule_card["betas_sha256"],
        },
        "code_sha256": code_digest(source_files(__name__)),
        "environment": environment() | {"device": str(device)},
    }


def _record(
    folder: Path,
    config: dict[str, object],
    manifest: dict[str, object],
    history: History,
    recipe: Recipe,
) -> Record:
    nested: dict[str, dict[str, str]] = {**config, **manifest}  # type: ignore[dict-item]
    return Record(
        params={
            **nested["run"],
            "timesteps": nested["train"]["timesteps"],
            "label_dropout": nested["train"]["label_dropout"],
            **{f"weighting_{k}": v for k, v in nested["train"]["weighting"].items()},  # type: ignore[attr-defined]
            **{f"timesteps_{k}": v for k, v in nested["train"]["timestep_sampling"].items()},  # type: ignore[attr-defined]
            "recipe_name": nested["run"]["recipe"],
            **nested["recipe"],
            "parameters": config["parameters"],  # type: ignore[dict-item]
            **{f"schedule_{k}": v for k, v in nested["schedule"].items() if k != "timesteps"},
        },
        metrics={"final_loss": float(manifest["final_loss"])},  # type: ignore[arg-type]
        tags={**nested["inputs"], **nested["outputs"], "code_sha256": str(manifest["code_sha256"])},
        history=[
            HistoryPoint(metric, float(row[metric]), int(row["step"]))
            for row in history.rows
            for metric in ("loss", "gradient_norm", "learning_rate")
        ],
        artifacts=[folder / checkpoint.CONFIG, folder / "history.csv", folder / "manifest.json"],
        images=recipe.steps * recipe.batch_size,
    )
