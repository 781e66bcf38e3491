"""Images drawn again from the checkpoint, as the manifest says, and compared with the stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from mnist_diffusion.audit.chain import Member
from mnist_diffusion.audit.evidence import Evidence
from mnist_diffusion.audit.findings import NAMED, Findings, failed, note, some, unverified
from mnist_diffusion.audit.plainfiles import regular
from mnist_diffusion.dataset.pixels import to_uint8
from mnist_diffusion.files import paths
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.provenance.environment import environment
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.sampling.denoiser import TrainedDenoiser, load_denoiser
from mnist_diffusion.sampling.draw import redraw
from mnist_diffusion.settings import Compute, ResolvedCell, SharedSampling


@dataclass(frozen=True)
class Choice:
    """How many images to draw again, and from which seed they are chosen."""

    count: int
    seed: int | None = None


@dataclass(frozen=True)
class Rerun:
    """What a manifest asks for, ready to be drawn on a machine as like its own as can be."""

    denoiser: TrainedDenoiser
    cell: ResolvedCell
    sample: SharedSampling
    foreign: list[str]
    """In what this environment differs from the manifest's; bits are promised within one alone."""


def check(evidence: Evidence, member: Member, choice: Choice) -> Findings:
    """A few random images; not their whole set, which `--deep` draws."""
    manifest = evidence.json(member.manifest)
    again = rerun(manifest)
    indices = chosen(choice, evidence.content(member.manifest), again.cell.count)
    drawn = to_uint8(redraw(again.denoiser, again.cell, again.sample, indices))
    path = member.folder / "images.npy"
    stored = np.load(regular(path), mmap_mode="r", allow_pickle=False)[indices]
    yield from compared(path, indices, drawn, stored, again.foreign)


def chosen(choice: Choice, digest: str, of: int) -> list[int]:
    """Which images: from the seed, or else from the manifest's digest, the same each time."""
    seed = digest if choice.seed is None else choice.seed
    return sorted(Random(seed).sample(range(of), min(choice.count, of)))


def rerun(manifest: Mapping[str, Any]) -> Rerun:
    """The denoiser and settings of a set: all from its manifest, nothing from params.yaml."""
    said = manifest["parameters"]
    cell = ResolvedCell.model_validate(said["cell"])
    device, foreign = surroundings(manifest["environment"])
    folder = paths.model(cell.run)
    for name in (checkpoint.WEIGHTS, checkpoint.CONFIG, paths.BETAS):
        regular(folder / name)
    return Rerun(
        denoiser=load_denoiser(folder, device),
        cell=cell,
        sample=SharedSampling.model_validate(said["sample"]),
        foreign=foreign,
    )


def surroundings(recorded: Mapping[str, str]) -> tuple[torch.device, list[str]]:
    """The device, and in what the environment differs."""
    device_name: Literal["cpu", "auto"] = "cpu" if recorded["device"] == "cpu" else "auto"
    device = configure(Compute(device=device_name, instructions="native"))  # audit has limited them
    here = environment(device)
    keys = sorted({*here, *recorded})
    return device, [key for key in keys if here.get(key) != recorded.get(key)]


def compared(
    path: Path,
    indices: list[int],
    drawn: NDArray[np.uint8],
    stored: NDArray[np.uint8],
    foreign: list[str],
) -> Findings:
    """Bit equality, where the environment promises it; else how far apart the pixels are."""
    apart = np.abs(drawn.astype(np.int16) - stored.astype(np.int16)).reshape(len(drawn), -1)
    largest = apart.max(axis=1, initial=0)
    unequal = [index for index, most in zip(indices, largest.tolist(), strict=True) if most]
    pixels = f"largest pixel difference {int(largest.max(initial=0))} of 255"
    which = f"images {some(indices)}" if len(indices) <= NAMED else f"{len(indices)} images"
    if foreign:
        text = f"consistent, not proven: drawn on another {some(foreign)}; {pixels}"
        yield unverified(path, f"{text}, {which}")
    elif unequal:
        for index, most in _worst(unequal, indices, largest):
            text = f"not what its weights draw, by {most} of 255 at a pixel"
            yield failed(f"{path}: image {index}", text)
    else:
        yield note(path, f"drawn again, bit for bit the same: {which}")


def _worst(
    unequal: list[int], indices: list[int], largest: NDArray[np.int16]
) -> Iterator[tuple[int, int]]:
    return ((index, int(largest[indices.index(index)])) for index in unequal)
