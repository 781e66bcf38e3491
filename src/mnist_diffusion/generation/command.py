"""`mnist-diffusion generate`: from a trained run to a picture, and to a film of the denoising."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mnist_diffusion.dataset.attributes import Attributes
from mnist_diffusion.dataset.captioned import GRAMMAR, Meaning
from mnist_diffusion.dataset.levels import obeyed
from mnist_diffusion.dataset.pixels import to_tensor
from mnist_diffusion.dataset.prompts import Prompt
from mnist_diffusion.evaluation.features import classify
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.generation import drawing, pictures
from mnist_diffusion.generation.drawing import Request, request
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.judges import JUDGES
from mnist_diffusion.networks.text_files import TEXT
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.runtime.progress_bar import track
from mnist_diffusion.settings import Settings, load_settings
from mnist_diffusion.settings.messages import suggest


def generate(out: Path, animation: Path | None, run: str | None, **asked: Any) -> str:
    """Draw what was asked, like the headline cell where nothing was, and write it; what to print.

    Everything is checked before anything is drawn.
    """
    pictures.check_target(out, pictures.STILL)
    if animation:
        pictures.check_target(animation, pictures.MOVING)
    settings = load_settings()
    name = _known(settings, run, text=asked.get("prompt") is not None)
    config = drawing.trained(name)
    base = drawing.usual_cell(settings, name)
    if asked.get("prompt") is not None and asked.get("guidance") is None:
        asked["guidance"] = _most_obeyed(settings, name)
    wanted = request(base, settings.sample, config, run=name, **asked)
    meaning = Meaning.load(paths.model(name) / TEXT / GRAMMAR) if wanted.prompt else None
    artist = drawing.load(paths.model(name), settings.compute, wanted.cell)
    frames = _draw(artist, wanted, animated=animation is not None)
    images = frames[-1]
    facts = artist.facts(wanted, images)
    in_turn = wanted.digit is None and wanted.prompt is None and wanted.cell.guidance > 0
    width = pictures.columns(len(images), in_turn)
    if animation:
        pictures.write_moving(animation, frames, width, facts)
    pictures.write_still(out, images, width, facts)
    told = [_summary(wanted, facts, [out, *filter(None, [animation])])]
    if wanted.prompt and meaning:
        obeying = _obeying(wanted.prompt, meaning, images, artist.denoiser.device)
        told = [*_understood(wanted.prompt, meaning), *told, obeying]
    return "\n".join(told)


def _known(settings: Settings, run: str | None, text: bool) -> str:
    """The run that was named, or that of the headline cell; to be told words, the first text run.

    The headline's, if it reads text.
    """
    name = run or settings.cells[settings.report.headline].run
    if text and not run and settings.denoisers[name].conditioning != "text":
        reading = (name for name, one in settings.runs.items() if one.conditioning == "text")
        name = next(reading, name)
    if name not in settings.denoisers:
        raise UserError(f"run: there is no {name!r}; {suggest(name, settings.denoisers)}")
    return name


def _most_obeyed(settings: Settings, run: str) -> float | None:
    """The guidance at which most of what this run was asked for is so; None if nobody measured."""
    own = (name for name in settings.adherence.cells if settings.cells[name].run == run)
    found = [read_json(path) for path in map(paths.adherence, own) if path.is_file()]
    obeyed = [(told["all"]["everything"], float(told["guidance"])) for told in found]
    return max(obeyed)[1] if obeyed else None


def _draw(artist: drawing.Trained, wanted: Request, animated: bool) -> np.ndarray:
    """Frames, (frames, n, 28, 28); only the last where nothing is animated."""
    total = wanted.indices[-1] + 1 if animated else wanted.count
    size = wanted.sample.micro_batch
    drawn = drawing.watched(artist, wanted) if animated else drawing.batches(artist, wanted)
    bar = track(drawn, total=-(-total // size), description=wanted.cell.run, unit="img", scale=size)
    return np.concatenate(list(bar), axis=1) if animated else np.concatenate(list(bar))[None]


def _summary(wanted: Request, facts: Mapping[str, Any], files: list[Path]) -> str:
    cell, digit = wanted.cell, "" if wanted.digit is None else f" of digit {wanted.digit}"
    return (
        f"{' and '.join(file.name for file in files)}: {wanted.count} images{digit} by {cell.run} "
        f"({cell.sampler}, {cell.steps} steps, guidance {cell.guidance:g}, "
        f"seed {wanted.sample.seed}), weights {facts['weights_sha256'][:12]}"
    )


def _understood(prompt: Prompt, meaning: Meaning) -> list[str]:
    """Lines on what is asked for, whether the run ever saw that, and what it does not know."""
    never = meaning.corners.hold_all_of(prompt.asked)
    seen = " (never trained together)" if never else ""
    return [*(f"note: {note}" for note in prompt.notes), f"{prompt.understood}{seen}"]


def _obeying(
    prompt: Prompt, meaning: Meaning, images: NDArray[np.uint8], device: torch.device
) -> str:
    """Such as "14 of 16 are so, as measured"; images (n, 28, 28).

    The judge says which digit one is, and where there is no judge yet that goes unasked.
    """
    asked = np.array([prompt.asked] * len(images), dtype=np.int64)
    if (paths.CLASSIFIER / checkpoint.WEIGHTS).is_file():
        classifier, _ = checkpoint.load(paths.CLASSIFIER, JUDGES)
        judged = classify(classifier.to(device), to_tensor(images), device)
        seen, by = np.asarray(judged.seen), "as measured"
    else:
        seen = np.full(len(images), prompt.digit or 0, dtype=np.int64)
        by = "as measured but for the digit, for there is no judge yet"
    found = meaning.bands.levels(Attributes.of(images), seen)
    right = obeyed(asked, found).all(axis=1)
    return f"{int(right.sum())} of {len(images)} are so, {by}"
