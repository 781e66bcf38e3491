"""train: one denoiser, from its run's settings to models/<run>/."""

import shutil
import sys
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from mnist_diffusion.dataset.captioned import GRAMMAR, LEVELS, Meaning
from mnist_diffusion.dataset.pixels import to_uint8
from mnist_diffusion.diffusion.forward import add_noise
from mnist_diffusion.diffusion.schedules import CLEAN, SCHEDULES, Schedule, zero_terminal_snr
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import write_json
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.codec_files import CODEC, load_codec
from mnist_diffusion.networks.denoisers import DENOISERS
from mnist_diffusion.networks.text_files import TEXT, load_clip, save_text_encoder
from mnist_diffusion.pipeline import Outcome
from mnist_diffusion.provenance.digests import arrays_digest, content_digest, json_digest
from mnist_diffusion.provenance.lineage import publish_folder, read_manifest, snapshot_inputs
from mnist_diffusion.provenance.schedule_card import schedule_card
from mnist_diffusion.runtime import ranks
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.runtime.locks import recreate_dir
from mnist_diffusion.runtime.progress_bar import track
from mnist_diffusion.runtime.resumption import Resumption
from mnist_diffusion.runtime.seeds import derive_seed, seeded
from mnist_diffusion.settings import ResolvedRun, Run, Settings
from mnist_diffusion.training.asking import AskedByCaption, AskedByLabel, Asking
from mnist_diffusion.training.denoising import Denoising
from mnist_diffusion.training.epochs import Streams
from mnist_diffusion.training.examples import Examples, load_examples
from mnist_diffusion.training.learner import Learner, with_checkpoints
from mnist_diffusion.training.loop import build_optimizers, fit
from mnist_diffusion.training.optim import ExponentialAverage
from mnist_diffusion.training.run_state import History, RunState, Snapshots

NOISING_FRAMES = 11


def run(settings: Settings, name: str) -> Outcome:
    """Train the run's network and publish weights, schedule, history and manifest.

    Of several processes all train, and the first alone keeps states and publishes.
    """
    device = ranks.join(configure(settings.compute))
    resolved = settings.run(name)
    source = paths.space(resolved.run.space)
    files = list(dict.fromkeys([source, Path(resolved.run.asked)]))
    inputs = snapshot_inputs(__name__, name, settings, parameters, files, device)
    resumption = Resumption(f"train@{name}", inputs.key)
    examples, labels = load_examples(source)
    schedule = _schedule(resolved)
    network = _build(resolved).to(device)
    objective = Denoising(*_asked(resolved.run, examples, labels), resolved, schedule, device)
    ranks.require_same(inputs.key)  # here the others wait for the first to hold the lock
    history, snapshots = _train(network, objective, resolved, name, resumption)
    ranks.leave()
    if ranks.rank():
        return Outcome()

    folder = recreate_dir(paths.model(name))
    checkpoint.save(folder, network, resolved.model_dump())
    history.write(folder)
    snapshots.write(folder)
    _write_schedule(folder, schedule)
    if resolved.run.codec:  # the run's folder is enough to draw from
        shutil.copytree(source / CODEC, folder / CODEC)
    if resolved.run.conditioning == "text":
        save_text_encoder(folder, load_clip().text)
        shutil.copyfile(paths.CLIP / GRAMMAR, folder / TEXT / GRAMMAR)
    _write_noising(folder, schedule, examples, resolved.run)
    details = _details(network, schedule, history, _digests(source, resolved.run))
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
    learner = Learner(network, optimizers, average)
    training = RunState(learner, objective.timesteps, history, snapshots)
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


def _write_schedule(folder: Path, schedule: Schedule) -> None:
    """The betas themselves, and a table of what they amount to."""
    np.save(folder / paths.BETAS, schedule.betas.numpy(), allow_pickle=False)
    log_snr = 2 * schedule.level(torch.arange(schedule.timesteps)).half_log_snr
    columns = {"beta": schedule.betas, "alpha_bar": schedule.alphas_bar, "log_snr": log_snr}
    table = pd.DataFrame({key: value.numpy() for key, value in columns.items()})
    table.to_csv(folder / "schedule.csv", index_label="t", lineterminator="\n")


def _asked(run: Run, examples: Examples, labels: Tensor) -> tuple[Examples, Asking]:
    """What is shown and asked for: all digits by label, or those not held out by captions."""
    if run.conditioning != "text":
        return examples, AskedByLabel(labels)
    levels = np.load(paths.CLIP / LEVELS, allow_pickle=False)
    learned = ~Meaning.load(paths.CLIP / GRAMMAR).corners.hold(levels)
    encoder = load_clip().text
    return examples.only(torch.from_numpy(learned)), AskedByCaption(levels[learned], encoder)


@torch.inference_mode()
def _write_noising(folder: Path, schedule: Schedule, examples: Examples, run: Run) -> None:
    """The first digit as it drowns, as pixels: where it drowns in latents, decoded."""
    streams = Streams("train", run.seed)
    x0 = examples(torch.zeros(1, dtype=torch.int64), streams("shown", 0))
    steps = torch.linspace(CLEAN, schedule.timesteps - 1, NOISING_FRAMES).round().long()
    noise = torch.randn(x0.shape, generator=streams("noising", 0))
    noisy = add_noise(x0, noise, schedule.level(steps.view(-1, 1, 1, 1)))
    if run.codec:
        codec, scale = load_codec(folder)
        noisy = codec.decode(scale.unscaled(noisy))
    np.save(folder / "noising.npy", to_uint8(noisy), allow_pickle=False)
    write_json(folder / "noising.json", {"timesteps": steps.tolist()})


def _digests(source: Path, run: Run) -> dict[str, str]:
    """Of the digits that were trained on and their labels, of latents, and of what reads text."""
    arrays = sorted(source.glob("train-*.npy"))
    found = {f"{path.stem.removeprefix('train-')}_sha256": content_digest(path) for path in arrays}
    text = {} if run.conditioning != "text" else read_manifest(paths.CLIP)["outputs"]
    return {**read_manifest(source).get("inputs", {}), **found, **text}


def _details(
    network: nn.Module,
    schedule: Schedule,
    history: History,
    inputs: dict[str, str],
) -> dict[str, Any]:
    """What a run's manifest has to say beyond that of any stage."""
    card = schedule_card(schedule)
    return {
        "network_parameters": sum(p.numel() for p in network.parameters()),
        "schedule": card,
        "final_loss": history.rows[-1]["loss"],
        "inputs": inputs,
        "outputs": {
            "weights_sha256": arrays_digest(checkpoint.weights(network)),
            "betas_sha256": card["betas_sha256"],
        },
    }
