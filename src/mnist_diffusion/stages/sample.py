"""sample: one sample set, from a trained denoiser to data/samples/<cell>/."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mnist_diffusion.dataset.pixels import to_uint8
from mnist_diffusion.diffusion.spacings import levels
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.pipeline import MANIFEST, Outcome
from mnist_diffusion.provenance.digests import array_digest, image_digests
from mnist_diffusion.provenance.lineage import publish_folder, snapshot_inputs
from mnist_diffusion.provenance.schedule_card import schedule_card
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.runtime.locks import recreate_dir
from mnist_diffusion.runtime.progress_bar import track
from mnist_diffusion.runtime.resumption import Resumption
from mnist_diffusion.sampling.denoiser import TrainedDenoiser, load_denoiser
from mnist_diffusion.sampling.draw import MicroBatch, draw, trajectory_steps
from mnist_diffusion.sampling.wishes import PromptsAsked, labels_for, prompt_for
from mnist_diffusion.settings import ResolvedCell, Settings, SharedSampling

DIGESTS = "digests.txt"
PROMPTS = "prompts.txt"


def run(settings: Settings, name: str) -> Outcome:
    """Draw the cell's images and publish them with labels, digests, trajectory and manifest."""
    cell = settings.cell(name)
    device = configure(settings.compute)
    model = paths.model(cell.run)
    files = [model, paths.PREPARED]  # for halves of real digits; DVC knows but one list for all
    inputs = snapshot_inputs(__name__, name, settings, parameters, files, device)
    resumption = Resumption(f"sample@{name}", inputs.key)
    denoiser = load_denoiser(model, device, cell)
    arrays, evaluations = _draw(denoiser, cell, settings.shared(name), name, resumption)

    target = recreate_dir(paths.samples(name))
    outputs = _write(target, arrays, _prompts(denoiser, cell))
    details = _details(cell, denoiser, outputs)
    publish_folder(target, inputs, network_evaluations=evaluations, **details)
    resumption.clear()
    return Outcome(cell.count, resumption.earlier_seconds)


def parameters(settings: Settings, name: str) -> dict[str, Any]:
    """Everything that made the images: the cell, what all cells share, and how the run was trained.

    The last comes from the checkpoint, not from params.yaml: it is what was trained.
    """
    cell = settings.cell(name)
    return {
        "cell": cell.model_dump(),
        "sample": settings.shared(name).model_dump(),
        "training": read_json(paths.model(cell.run) / checkpoint.CONFIG),
    }


def _draw(
    denoiser: TrainedDenoiser,
    cell: ResolvedCell,
    sample: SharedSampling,
    name: str,
    resumption: Resumption,
) -> tuple[dict[str, np.ndarray], int]:
    """What a sample set holds, and the network evaluations that an image of it took."""
    batches = _batches(denoiser, cell, sample, name, resumption)
    images = torch.cat([batch.images for batch in batches])
    if not bool(images.isfinite().all()):
        raise UserError(f"cells.{name}: images are not finite; lower the guidance or retrain")
    frames = [to_uint8(frame[:, None]) for frame in torch.cat([b.trajectory for b in batches], 1)]
    arrays = {
        "images": to_uint8(images),
        "float": images[:, 0].numpy(),
        "labels": labels_for(cell.count, cell.asks(denoiser.conditioning)),
        "trajectory": np.stack(frames),
    }
    return arrays, batches[0].evaluations


def _batches(
    denoiser: TrainedDenoiser,
    cell: ResolvedCell,
    sample: SharedSampling,
    name: str,
    resumption: Resumption,
) -> list[MicroBatch]:
    """All of them in order: what a killed run has kept, and the rest, kept as it is drawn."""
    kept = resumption.parts()
    batches = {
        first: MicroBatch(first, tensors["images"], tensors["trajectory"], facts["evaluations"])
        for first, (tensors, facts) in kept.items()
    }
    if batches:
        done = len(batches) * sample.micro_batch
        sys.stderr.write(f"resuming {resumption.address} after {done} images\n")
    for batch in track(
        draw(denoiser, cell, sample, skip=kept),
        total=-(-cell.count // sample.micro_batch),
        description=name,
        unit="img",
        scale=sample.micro_batch,
        done=len(kept),
    ):
        tensors = {"images": batch.images, "trajectory": batch.trajectory}
        resumption.save(tensors, {"evaluations": batch.evaluations}, part=batch.first)
        batches[batch.first] = batch
    return [batches[first] for first in sorted(batches)]


def _write(target: Path, arrays: dict[str, np.ndarray], prompts: Sequence[str]) -> dict[str, str]:
    """Write the arrays, the prompts, and a digest an image; the digests of the arrays.

    The images as they were before rounding are digested but not kept: rounding hides small drifts.
    """
    outputs = {f"{key}_sha256": array_digest(array) for key, array in arrays.items()}
    for key, array in arrays.items():
        if key != "float":
            np.save(target / f"{key}.npy", array, allow_pickle=False)
    if prompts:
        text = "".join(f"{prompt}\n" for prompt in prompts)
        (target / PROMPTS).write_text(text, encoding="ascii")
    lines = image_digests(arrays["images"], arrays["labels"])
    (target / DIGESTS).write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
    return outputs


def _prompts(denoiser: TrainedDenoiser, cell: ResolvedCell) -> list[str]:
    """A line for each image, of a run that reads them."""
    if not isinstance(denoiser.wishes, PromptsAsked) or not cell.asks(denoiser.conditioning):
        return []
    return [prompt_for(index, cell.prompts) for index in range(cell.count)]


def _details(
    cell: ResolvedCell, denoiser: TrainedDenoiser, outputs: dict[str, str]
) -> dict[str, Any]:
    """What a sample set's manifest has to say beyond that of any stage."""
    path = levels(denoiser.schedule, cell.steps, cell.spacing)
    visited = [int(level.t) for level in path]
    trained = read_json(paths.model(cell.run) / MANIFEST)
    return {
        "schedule": {**schedule_card(denoiser.schedule), "first_step_signal": float(path[0].alpha)},
        "trajectory_timesteps": [visited[k] for k in trajectory_steps(cell.steps)],
        "inputs": {
            **denoiser.weights_digests(),
            "betas_sha256": array_digest(denoiser.schedule.betas.numpy()),
            "train_images_sha256": trained["inputs"]["images_sha256"],
            "train_labels_sha256": trained["inputs"]["labels_sha256"],
        },
        "outputs": outputs,
    }
