"""reports/playground.html: some of the networks, their cells' scores and images, and what draws."""

from __future__ import annotations

import json
import zlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from safetensors import SafetensorError
from safetensors.numpy import load as tensors_of
from safetensors.numpy import save as bytes_of

from mnist_diffusion.evaluation.metrics import METRICS
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.pipeline import MANIFEST
from mnist_diffusion.provenance.schemas.artifact import load
from mnist_diffusion.provenance.schemas.cell_reports import CellMetrics
from mnist_diffusion.provenance.schemas.manifest import SampleManifest
from mnist_diffusion.reporting.labels import SAMPLERS, departures, ends_text, percent
from mnist_diffusion.reporting.reading import read_array
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import Settings
from mnist_diffusion.settings.sampling import FIXED_ETA

PAGE = paths.REPORTS / "playground.html"
ASSETS = Path(__file__).parent / "assets"
TEMPLATES = Path(__file__).parents[1] / "templates"
NETWORKS = ("unet", "guided-unet")
"""What the page's script can run."""
IMAGES = 10
"""Of each cell, to hold against what the page draws."""
LARGEST = 14_500_000
"""Characters that all it carries may take, but for the first of the networks."""
ASKED = {"uncond": "unconditional", "class": "by class", "text": "in words"}
SHOWN = {"fd_infinity": "relative FD∞", "accuracy": "accuracy"}


@dataclass
class Files:
    """What the page carries, by a name made of its content: what two runs share is there once."""

    content: dict[str, str] = field(default_factory=dict)

    def add(self, content: bytes) -> str:
        """Its name; packed first bytes of four first, then second ones: numbers' ends are alike."""
        name = f"file-{sha256(content).hexdigest()[:16]}"
        if name not in self.content:
            shuffled = np.frombuffer(content, np.uint8).reshape(-1, 4).T.tobytes()
            self.content[name] = b64encode(zlib.compress(shuffled)).decode()
        return name

    @property
    def size(self) -> int:
        return sum(map(len, self.content.values()))


def render(settings: Settings) -> bytes:
    """The page; the same bytes for the same files. UserError names the first that is wrong."""
    every = {n: load(paths.samples(n) / MANIFEST, SampleManifest) for n in settings.cells}
    manifests = {name: manifest for name, manifest in every.items() if _drawable(manifest)}
    files, left = Files(), list[str]()
    runs: dict[str, Any] = {}
    judge = files.add(_weights(paths.CLASSIFIER))
    for name in chosen_runs(settings, manifests):
        with_it = Files(dict(files.content))
        told = _run(name, with_it)
        if runs and with_it.size > LARGEST:
            left.append(name)
        else:
            files, runs[name] = with_it, told
    cells = {
        name: _cell(name, manifest, settings, files)
        for name, manifest in manifests.items()
        if manifest.parameters.cell.run in runs
    }
    if not cells:
        raise UserError(f"{paths.PARAMS}: cells: none of a U-Net without a snapshot; declare one")
    facts = {
        **{"runs": runs, "cells": cells, "judge": judge, "start": _start(settings, cells)},
        **{"samplers": SAMPLERS, "eta": FIXED_ETA},
    }
    environment = Environment(
        loader=FileSystemLoader([ASSETS, TEMPLATES]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = json.dumps(facts, sort_keys=True, allow_nan=False).replace("<", "\\u003c")
    page = environment.get_template("playground.html.j2").render(
        **{"scale": settings.scale, "runs": list(runs), "left": left, "facts": text},
        files=files.content,
    )
    return page.encode()


def chosen_runs(settings: Settings, manifests: Mapping[str, SampleManifest]) -> list[str]:
    """The headline's run, then each that brings something new: runs, then students, as declared.

    A schedule, a conditioning, a space (pixels or latents) or a kind of network that none before it
    has. Of the source's own denoiser the page knows nothing.
    """
    drawn = {one.parameters.cell.run: one.parameters for one in manifests.values()}
    first = settings.cells[settings.report.headline].run
    seen: set[tuple[str, Any]] = set()
    chosen: list[str] = []
    for name in dict.fromkeys([first, *settings.runs, *drawn]):
        if name not in drawn or drawn[name].training.network.name not in NETWORKS:
            continue
        run = drawn[name].training.run
        brings = {
            ("schedule", (run.schedule, run.zero_terminal_snr)),
            ("conditioning", run.conditioning),
            ("pixels", run.codec is None),
            ("network", drawn[name].training.network.name),
        }
        if not brings <= seen:
            chosen.append(name)
            seen |= brings
    return chosen


def _drawable(manifest: SampleManifest) -> bool:
    """Whether the page can draw a cell: not by a snapshot, and not half of a real digit."""
    cell = manifest.parameters.cell
    return cell.inpaint == "none" and (cell.guide == "label" or cell.guidance in (0, 1))


def _start(settings: Settings, cells: dict[str, Any]) -> list[str]:
    """The headline beside a cell of the same noise and another run, or else of its own run."""
    first = settings.report.headline if settings.report.headline in cells else next(iter(cells))
    run, root = cells[first]["settings"]["run"], cells[first]["root"]
    others = [(name, cell, cell["settings"]["run"] == run) for name, cell in cells.items()]
    same_noise = [name for name, cell, own in others if not own and cell["root"] == root]
    own_run = [name for name, _, own in others if own and name != first]
    return [first, [*same_noise, *own_run, first][0]]


def _run(name: str, files: Files) -> dict[str, Any]:
    folder = paths.model(name)
    try:
        return _told(folder, files)
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{folder}: a JSON in it is of another shape ({error}); delete it and run `dvc repro`"
        ) from None


def _told(folder: Path, files: Files) -> dict[str, Any]:
    config = read_json(folder / "config.json")
    run, betas = config["run"], read_array(folder / paths.BETAS, "float64", 1)
    space = "pixels" if run["space"] == "prepared" else run["space"]
    told: dict[str, Any] = {
        "what": f"{run['schedule']} schedule, {ASKED[run['conditioning']]}, {space}",
        **{key: run[key] for key in ("prediction", "conditioning")},
        "sizes": config["network"]["sizes"],
        "timesteps": len(betas),
        "files": {"betas": files.add(betas.tobytes()), "weights": files.add(_weights(folder))},
    }
    for part, beside in (("codec", "scale"), ("text", "grammar")):
        if (folder / part).is_dir():
            more = read_json(folder / part / f"{beside}.json")
            more = {"scale": more} if part == "codec" else {"vocabulary": more["vocabulary"]}
            sizes = read_json(folder / part / "config.json")["network"]["sizes"]
            told[part] = {"sizes": sizes, **more}
            told["files"][part] = files.add(_weights(folder / part))
    return told


def _weights(folder: Path) -> bytes:
    """Those of a network without what only training or encoding needs."""
    path = folder / "weights.safetensors"
    try:
        tensors = tensors_of(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: unusable ({error}); delete it and run `dvc repro`") from None
    kept = {
        k: v for k, v in tensors.items() if v.dtype == np.float32 and not k.startswith("encoder.")
    }
    return bytes_of(kept)


def _cell(name: str, manifest: SampleManifest, settings: Settings, files: Files) -> dict[str, Any]:
    folder, metrics = paths.samples(name), load(paths.metrics(name), CellMetrics)
    if metrics.samples_sha256 != manifest.outputs["images_sha256"]:
        raise UserError(f"{paths.metrics(name)}: judges other images; run `dvc repro`")
    images = read_array(folder / "images.npy", "uint8", 3)[:IMAGES]
    alike = manifest.parameters.cell.model_copy(update={"count": settings.sample.count})
    prompts = folder / "prompts.txt"
    lines = prompts.read_text(errors="replace").splitlines() if prompts.is_file() else []
    return {
        "settings": manifest.parameters.cell.model_dump(mode="json"),
        "root": manifest.parameters.sample.seed,
        "prompts": lines[:IMAGES],
        "images": files.add(images.tobytes()),
        "also": departures(alike, settings.sample),
        "score": "; ".join([f"Published: {metrics.n:,} images", *_scores(metrics)]) + ".",
    }


def _scores(metrics: CellMetrics) -> Iterator[str]:
    """Each with its interval, and what real digits score where that is known."""
    for name, title in SHOWN.items():
        value, real = METRICS[name].of(metrics), METRICS[name].of_real(metrics)
        if value is not None:
            ends = metrics.intervals.get(name)
            interval = f" ({ends_text(ends)})" if ends else ""
            beside = f", real test digits {percent(real)}" if real is not None else ""
            yield f"{title} {percent(value)}{interval}{beside}"
