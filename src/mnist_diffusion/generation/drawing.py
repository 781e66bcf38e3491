"""Requests for digits, checked and complete, and their images.

Image k of a digit is the same however many are drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError

from mnist_diffusion.dataset.pixels import to_uint8
from mnist_diffusion.dataset.prompts import Prompt, understand
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.codec_files import CODEC
from mnist_diffusion.networks.text_files import TEXT
from mnist_diffusion.provenance.digests import array_digest
from mnist_diffusion.provenance.environment import environment
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.sampling.denoiser import TrainedDenoiser, load_denoiser
from mnist_diffusion.sampling.draw import draw, redraw
from mnist_diffusion.sampling.wishes import PromptsAsked
from mnist_diffusion.settings import FIXED_ETA, Compute, ResolvedCell, Settings, SharedChoices
from mnist_diffusion.settings.messages import explain
from mnist_diffusion.settings.students import Student
from mnist_diffusion.settings.training import PIXELS
from mnist_diffusion.settings.whole import untaught

FILES = (checkpoint.CONFIG, checkpoint.WEIGHTS, paths.BETAS)
"""What drawing needs of models/<run>, beside the folders of a codec and of a text encoder."""
MICRO_BATCH = 21
"""Images per network call. Prime to 10, so that consecutive images of one digit, which are ten
apart, have places of their own in a batch and fill it; see sampling.draw.redraw."""


@dataclass(frozen=True)
class Request:
    """Some images of one run."""

    cell: ResolvedCell
    sample: SharedChoices
    digit: int | None
    """None for all ten in turn, or for whatever comes where nothing is asked of the run."""
    count: int
    prompt: Prompt | None = None
    """For all images; None where digits are asked for."""

    @property
    def indices(self) -> range:
        """Whose they are among the images of a sample set: in one, image k is digit k mod 10."""
        if self.digit is None:
            return range(self.count)
        return range(self.digit, 10 * self.count, 10)

    @property
    def parameters(self) -> dict[str, Any]:
        """All that decides the images, besides the weights."""
        seed, batch = self.sample.seed, self.sample.micro_batch
        asked = {"digit": self.digit, "count": self.count, "seed": seed, "micro_batch": batch}
        words = {"prompt": self.prompt.text} if self.prompt else {}
        return {**self.cell.model_dump(), **asked, **words}


@dataclass(frozen=True)
class Trained:
    """A run that can draw."""

    denoiser: TrainedDenoiser
    config: dict[str, Any]
    """That of the checkpoint."""

    def asked(self, request: Request) -> TrainedDenoiser:
        """The denoiser, asked by the request's prompt where it has one."""
        wishes = self.denoiser.wishes
        if request.prompt is None or not isinstance(wishes, PromptsAsked):
            return self.denoiser
        return replace(self.denoiser, wishes=replace(wishes, prompt=request.prompt.text))

    def facts(self, request: Request, images: np.ndarray) -> dict[str, Any]:
        """What made these images: enough to draw them again, and to know that they are these."""
        return {
            "made_by": "mnist-diffusion generate",
            "run": request.cell.run,
            **self.denoiser.weights_digests(),
            "betas_sha256": array_digest(self.denoiser.schedule.betas.numpy()),
            "parameters": request.parameters,
            "images_sha256": array_digest(images),
            "environment": environment(self.denoiser.device),
        }


def request(
    base: ResolvedCell,
    shared: SharedChoices,
    config: Mapping[str, Any],
    *,
    run: str,
    digit: int | None = None,
    sampler: str | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    count: int = 1,
    seed: int | None = None,
    prompt: str | None = None,
) -> Request:
    """A request; what is None is as in the cell `base`. UserError says in one line what is wrong.

    `config` is that of the run's checkpoint, which knows what was trained.
    """
    labelled = config["run"]["conditioning"] != "uncond"
    wanted = guidance if guidance is not None else base.guidance if labelled else 0.0
    # 0 asks for no digit, and 1 for no guide: a snapshot has no part in either.
    guide = base.guide if wanted not in (0, 1) else "label"
    changed = {"run": run, "guidance": float(wanted), "guide": guide}
    changed |= {"prompts": "digits", "inpaint": "none"}
    if config["run"]["space"] != PIXELS:
        changed["x0_bound"] = "none"  # others hold x0 within the range of pixels
    if sampler is not None and sampler != base.sampler:
        changed |= {"sampler": sampler, "eta": FIXED_ETA.get(sampler, 0.0)}
    if steps is not None:
        changed["steps"] = steps
    cell = _checked(base, changed)
    if cell.steps > (most := config["train"]["timesteps"]):
        raise UserError(f"steps: {cell.steps} exceeds the {most} timesteps of training; give fewer")
    if "student" in config and (cause := untaught(cell, Student.model_validate(config["student"]))):
        raise UserError(cause)
    said = None if prompt is None else understand(prompt)
    _check_asked(digit, said is not None, cell, config["run"]["conditioning"])
    if count < 1:
        raise UserError(f"count: got {count}; ask for an image at least")
    own = {"seed": shared.seed if seed is None else seed, "micro_batch": MICRO_BATCH}
    return Request(cell, _checked(shared, own), digit, count, said)


def usual_cell(settings: Settings, run: str) -> ResolvedCell:
    """How a run draws where nothing is asked: as the headline; a student in its own first cell."""
    own = (name for name, cell in settings.cells.items() if cell.run == run)
    headline = settings.report.headline
    return settings.cell(next(own, headline) if run in settings.students else headline)


def trained(run: str) -> dict[str, Any]:
    """The config of a run that is trained; UserError if it is not."""
    folder = paths.model(run)
    missing = [file for file in FILES if not (folder / file).is_file()]
    if missing:
        raise UserError(f"{folder / missing[0]}: not there; run `dvc repro train@{run}`")
    config: dict[str, Any] = read_json(folder / checkpoint.CONFIG)
    return config


def parts_of(run: str) -> list[str]:
    """The names of all that drawing needs in the folder of a run that is trained."""
    chosen = read_json(paths.model(run) / checkpoint.CONFIG)["run"]
    codec = [] if chosen["space"] == PIXELS else [CODEC]
    return [*FILES, *codec, *([TEXT] if chosen["conditioning"] == "text" else [])]


def load(folder: Path, compute: Compute, cell: ResolvedCell) -> Trained:
    """Load a run from its folder, with what guides `cell`; UserError if a file of it is broken."""
    try:
        denoiser = load_denoiser(folder, configure(compute), cell)
    except (OSError, ValueError) as error:
        cause = str(error).splitlines()[0]
        raise UserError(f"{folder / paths.BETAS}: unusable ({cause}); run `dvc repro`") from None
    return Trained(denoiser, read_json(folder / checkpoint.CONFIG))


def batches(trained: Trained, request: Request) -> Iterator[np.ndarray]:
    """The images in order, (n, 28, 28) uint8, a call of the network's worth at a time."""
    denoiser = trained.asked(request)
    for part in parts(request):
        images = redraw(denoiser, request.cell, request.sample, part)
        yield _as_pixels(images[:, 0], request)


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
    for batch in draw(trained.asked(request), cell, sample):
        drawn = range(batch.first, batch.first + len(batch.images))
        chosen = [place for place, index in enumerate(drawn) if index in request.indices]
        yield _as_pixels(batch.trajectory[:, chosen], request)


def _as_pixels(images: torch.Tensor, request: Request) -> np.ndarray:
    """Shape (..., 28, 28) in [-1, 1] to uint8."""
    if not bool(images.isfinite().all()):
        guidance = request.cell.guidance
        raise UserError(f"guidance: {guidance:g} gives images that are not finite; lower it")
    return to_uint8(images.reshape(-1, 1, 28, 28)).reshape(images.shape)


def _checked(section: Any, changed: Mapping[str, Any]) -> Any:
    """A section of the settings with some values changed, and checked like those of params.yaml."""
    try:
        return type(section).model_validate({**section.model_dump(), **changed})
    except ValidationError as error:
        raise UserError(explain(error, type(section))) from None


def _check_asked(digit: int | None, words: bool, cell: ResolvedCell, conditioning: str) -> None:
    """UserError where a run cannot be asked so, or would not be."""
    if conditioning == "uncond" and (digit is not None or cell.guidance):
        what = "digit" if digit is not None else "guidance"
        raise UserError(f"{what}: {cell.run} is unconditional; leave it out or take another run")
    if words and conditioning != "text":
        raise UserError(f"prompt: {cell.run} reads no text; give a digit, or choose a text run")
    if words and digit is not None:
        raise UserError("prompt: a digit is asked for as well; say it in the prompt")
    if digit is not None and digit not in range(10):
        raise UserError(f"digit: got {digit}; give one from 0 to 9")
    if not cell.guidance and (words or digit is not None):
        key = "prompt" if words else "digit"
        raise UserError(f"{key}: nothing is asked for with guidance 0; raise it, or leave this out")
