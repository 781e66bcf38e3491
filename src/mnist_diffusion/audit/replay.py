"""Work done once more: images drawn again, and whole stages run again where they change nothing."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import chdir, contextmanager
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from mnist_diffusion.audit.chain import REPORT, Evidence, Member, differences
from mnist_diffusion.audit.commits import untimed
from mnist_diffusion.audit.output import NAMED, Findings, failed, note, rounded, some, unverified
from mnist_diffusion.audit.rounding import DoublePrecision, reached, within_bounds
from mnist_diffusion.dataset.pixels import to_uint8
from mnist_diffusion.files import paths
from mnist_diffusion.provenance.digests import content_digest
from mnist_diffusion.provenance.environment import environment, rounding
from mnist_diffusion.provenance.source import OWN_ROOT
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.sampling.denoiser import load_denoiser
from mnist_diffusion.sampling.draw import redraw
from mnist_diffusion.sampling.wishes import labels_for
from mnist_diffusion.settings import Compute, ResolvedCell, SharedSampling, load_settings

READ_BY_STAGES = (paths.PARAMS, paths.REQUIREMENTS, *paths.PUBLISHED, paths.CODE)


def check_images(
    evidence: Evidence, member: Member, count: int, seed: int | None = None
) -> Findings:
    """A few random images, drawn from the weights as the manifest says, and not params.yaml."""
    folder, manifest = member.artifact.parent, evidence.json(member.artifact)
    device, foreign = surroundings(manifest["environment"])
    cell = ResolvedCell.model_validate(manifest["parameters"]["cell"])
    sample = SharedSampling.model_validate(manifest["parameters"]["sample"])
    indices = chosen(count, cell.count, evidence.content(member.artifact) if seed is None else seed)
    denoiser = load_denoiser(paths.model(cell.run), device, cell)
    draw = partial(redraw, denoiser, cell, sample, indices)
    images, labels = evidence.digits(folder)
    yield from compared(folder / "images.npy", indices, draw, images[indices], foreign)
    due = labels_for(cell.count, cell.asks(denoiser.conditioning))
    for k in np.flatnonzero(labels != due).tolist()[:NAMED]:
        yield failed(f"{folder / 'labels.npy'}: label {k}", "not the digit asked for there")


def chosen(count: int, of: int, seed: str | int) -> list[int]:
    """Which images: random, the same for the same seed, such as the digest of their manifest."""
    return sorted(Random(seed).sample(range(of), min(count, of)))


def surroundings(recorded: Mapping[str, str]) -> tuple[torch.device, list[str]]:
    """The device, and in what that decides bits the environment differs from what is recorded."""
    used = recorded.get("device")
    wanted: Literal["cpu", "auto"] = "auto" if used and used != "cpu" else "cpu"
    device = configure(Compute(device=wanted, instructions="native"))  # the audit has limited them
    here = rounding(environment(device if used else None))
    return device, sorted(key for key, _, _ in differences(here, rounding(recorded)))


def compared(
    path: Path,
    indices: list[int],
    draw: Callable[[], torch.Tensor],
    stored: NDArray[np.uint8],
    foreign: list[str],
) -> Findings:
    """Bit equality, where the environment promises it; else no more apart than rounding makes."""
    drawn = draw()
    apart = np.abs(to_uint8(drawn).astype(np.int16) - stored.astype(np.int16))
    which = f"images {some(indices)}" if len(indices) <= NAMED else f"{len(indices)} images"
    where = f"drawn on another {some(foreign)}" if foreign else "drawn again"
    if not apart.any():
        yield note(path, f"{where}, bit for bit the same: {which}")
        return
    told = f"{apart.max()} of 255 at most, {(apart > 0).mean():.2%} of the pixels"
    if foreign and within_bounds(apart):
        yield rounded(path, f"{where}: {told}, {which}")
        return
    wrong = apart.any(axis=(1, 2))
    if foreign:
        with DoublePrecision():
            wrong = ~reached(stored, drawn, draw())
        told += ", judged by float64"
    for k in np.flatnonzero(wrong).tolist():
        text = f"not what its weights draw, by {apart[k].max()} of 255 at a pixel"
        yield failed(f"{path}: image {indices[k]}", text)
    if not wrong.any():
        yield rounded(path, f"{where}: {told}, {which}")


def check_again(evidence: Evidence, member: Member) -> Findings:
    """All that a stage leaves, when it runs again on what is here.

    Nothing is written but to a scratch folder, in which all that is not the stage's own is linked.
    """
    recorded = evidence.json(paths.COMPARISONS if member == REPORT else member.artifact)
    _, foreign = surroundings(recorded["environment"])
    outs = [Path(out) for out in evidence.answer.stages[member.address].outs]
    module = importlib.import_module(f"mnist_diffusion.stages.{member.stage.name}")
    before = _contents(outs)
    with scratch(outs):
        module.run(load_settings(), *filter(None, [member.name]))
        found = list(differences(_contents(outs), before))
    other = untimed(evidence) if member == REPORT else []
    why = f" on another {some(foreign)}" if foreign else ""
    why += f", of whose seconds those of {some(other)} are lost; render it anew" if other else ""
    for item, expected, here in found:
        finding = unverified if why else failed
        yield finding(item, f"not what {member.address} makes{why}", expected, here)
    if not found:
        text = f"made again by {member.address}, the same to the last bit"
        yield note(some(outs), text)


@contextmanager
def scratch(outs: Iterable[Path]) -> Iterator[None]:
    """A folder that looks like this one, less some outs, as the current folder."""
    here = Path.cwd()
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / OWN_ROOT).symlink_to(here / OWN_ROOT)
        for path in _files(READ_BY_STAGES):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            if not any(path.is_relative_to(out) for out in outs):
                (folder / path).symlink_to(here / path)
        with chdir(folder):
            yield


def _files(places: Iterable[Path]) -> list[Path]:
    """All files among and within some paths."""
    found = (path for place in places for path in (place, *place.rglob("*")))
    return sorted(path for path in found if path.is_file())


def _contents(outs: Iterable[Path]) -> dict[str, Any]:
    """The digest of each file, by its path; of a JSON object, each value by path and key."""
    found: dict[str, Any] = {}
    for path in _files(outs):
        content = json.loads(path.read_text(encoding="utf-8")) if path.suffix == ".json" else None
        if isinstance(content, dict):
            found |= {f"{path}: {key}": value for key, value in content.items()}
        else:
            found[str(path)] = content_digest(path)
    return found
