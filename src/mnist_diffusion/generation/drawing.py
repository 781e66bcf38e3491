"""Images of a request. Image k of a digit is the same however many are drawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mnist_diffusion.dataset.pixels import to_uint8
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.generation.request import Request
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.provenance.digests import array_digest, arrays_digest
from mnist_diffusion.provenance.environment import environment
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.sampling.denoiser import TrainedDenoiser, load_denoiser
from mnist_diffusion.sampling.draw import draw, redraw
from mnist_diffusion.settings import Compute

FILES = (checkpoint.CONFIG, checkpoint.WEIGHTS, paths.BETAS)
"""What drawing needs of models/<run>."""


@dataclass(frozen=True)
class Trained:
    """A run that can draw."""

    denoiser: TrainedDenoiser
    config: dict[str, Any]
    """That of the checkpoint."""

    def facts(self, request: Request, images: np.ndarray) -> dict[str, Any]:
        """What made these images: enough to draw them again, and to know that they are these."""
        return {
            "made_by": "mnist-diffusion generate",
            "run": request.cell.run,
            "weights_sha256": arrays_digest(checkpoint.weights(self.denoiser.network)),
            "betas_sha256": array_digest(self.denoiser.schedule.betas.numpy()),
            "parameters": request.parameters,
            "images_sha256": array_digest(images),
            "environment": environment(self.denoiser.device),
        }


def trained(run: str) -> dict[str, Any]:
    """The config of a run that is trained; UserError if it is not."""
    folder = paths.model(run)
    missing = [file for file in FILES if not (folder / file).is_file()]
    if missing:
        raise UserError(f"{folder / missing[0]}: not there; run `dvc repro train@{run}`")
    config: dict[str, Any] = read_json(folder / checkpoint.CONFIG)
    return config


def load(folder: Path, compute: Compute) -> Trained:
    """Load a run from its folder; UserError if a file of it is broken."""
    try:
        denoiser = load_denoiser(folder, configure(compute))
    except (OSError, ValueError) as error:
        cause = str(error).splitlines()[0]
        raise UserError(f"{folder / paths.BETAS}: unusable ({cause}); run `dvc repro`") from None
    return Trained(denoiser, read_json(folder / checkpoint.CONFIG))


def batches(trained: Trained, request: Request) -> Iterator[np.ndarray]:
    """The images in order, (n, 28, 28) uint8, a call of the network's worth at a time."""
    for part in parts(request):
        images = redraw(trained.denoiser, request.cell, request.sample, part)
        yield _as_pixels(images, request)[:, 0]


def parts(request: Request) -> list[range]:
    """The images that are drawn together."""
    indices, size = request.indices, request.sample.micro_batch
    return [indices[first : first + size] for first in range(0, len(indices), size)]


def watched(trained: Trained, request: Request) -> Iterator[np.ndarray]:
    """The same images with their way from noise, (frames, n, 28, 28) uint8; the last frame is they.

    All ten digits are drawn for it, also where one is asked for.
    """
    total = request.indices[-1] + 1
    cell = request.cell.model_copy(update={"count": total})
    sample = request.sample.model_copy(update={"trajectory_images": total})
    for batch in draw(trained.denoiser, cell, sample):
        drawn = range(batch.first, batch.first + len(batch.images))
        chosen = [place for place, index in enumerate(drawn) if index in request.indices]
        yield _as_pixels(batch.trajectory[:, chosen, None], request)[:, :, 0]


def _as_pixels(images: torch.Tensor, request: Request) -> np.ndarray:
    """Shape (..., 1, 28, 28) in [-1, 1] to uint8."""
    if not bool(images.isfinite().all()):
        guidance = request.cell.guidance
        raise UserError(f"guidance: {guidance:g} gives images that are not finite; lower it")
    flat = to_uint8(images.reshape(-1, *images.shape[-3:]))
    return flat.reshape(*images.shape[:-3], 1, 28, 28)
