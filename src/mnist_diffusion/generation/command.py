"""`mnist-diffusion generate`: from a trained run to a picture, and to a film of the denoising."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.generation import drawing, pictures
from mnist_diffusion.generation.drawing import Request, request
from mnist_diffusion.generation.obedience import obeying, understood
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
    lines = understood(wanted.prompt, name) if wanted.prompt else []
    artist = drawing.load(paths.model(name), settings.compute, wanted.cell)
    frames = _draw(artist, wanted, animated=animation is not None)
    images = frames[-1]
    facts = artist.facts(wanted, images)
    in_turn = wanted.digit is None and wanted.prompt is None and wanted.cell.guidance > 0
    width = pictures.columns(len(images), in_turn)
    if animation:
        pictures.write_moving(animation, frames, width, facts)
    pictures.write_still(out, images, width, facts)
    lines.append(_summary(wanted, facts, [out, *filter(None, [animation])]))
    if wanted.prompt:
        lines.append(obeying(wanted.prompt, name, images, settings.compute))
    return "\n".join(lines)


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
