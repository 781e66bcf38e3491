"""Which trained runs MLflow's registry gets, and which is the best, from the files alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json, write_json
from mnist_diffusion.generation.drawing import FILES
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.provenance.digests import content_digest
from mnist_diffusion.provenance.source import SOURCE_ROOT, source_files
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.serving.digits import DEFAULTS, WISHES
from mnist_diffusion.settings import Settings
from mnist_diffusion.tracking.models import Candidate, Counts, Package, register

ENOUGH = 0.98
RULE = (
    "`best` is the run of the cell with the smallest relative FD among cells of class runs whose "
    f"accuracy is {ENOUGH:.0%} or more"
)
LOADER = "mnist_diffusion.serving"
PACKAGE = Package(
    loader=LOADER,
    packages=(
        "numpy",
        "pandas",
        "pillow",
        "pydantic",
        "ruamel.yaml",
        "safetensors",
        "torch",
        "tqdm",
    ),
    inputs=tuple(WISHES),
    outputs={"request": "long", "digit": "long", "seed": "long", "image": "long", "png": "string"},
)


def register_models(settings: Settings) -> Counts:
    """Give MLflow every trained run that it lacks, and say which is the best.

    Nothing here raises: what fails is told in one line on stderr, and counts as failed.
    """
    candidates = [_candidate(settings, run) for run in settings.runs if _is_whole(run)]
    found = best(settings)
    return register(candidates, found[0] if found else None, RULE, PACKAGE)


def best(settings: Settings) -> tuple[str, str] | None:
    """The run and the cell that RULE names; None if no cell is good enough yet."""
    scores = [
        (judged["relative_fd"], cell, judged["run"])
        for cell, judged in _judgements(settings)
        if judged["accuracy"] is not None and judged["accuracy"] >= ENOUGH
    ]
    _, cell, run = min(scores, default=(0.0, None, None))
    return (run, cell) if run and cell else None


def _judgements(settings: Settings) -> Iterator[tuple[str, dict[str, Any]]]:
    """The metrics of cells of class runs, those that are there."""
    for cell, said in settings.cells.items():
        labelled = settings.runs[said.run].conditioning == "class"
        if labelled and paths.metrics(cell).is_file():
            yield cell, read_json(paths.metrics(cell))


def _is_whole(run: str) -> bool:
    folder = paths.model(run)
    return all((folder / file).is_file() for file in (*FILES, "manifest.json"))


def _candidate(settings: Settings, run: str) -> Candidate:
    outputs = read_json(paths.model(run) / "manifest.json")["outputs"]
    digest = outputs["weights_sha256"]

    def write(data: Path, code: Path) -> None:
        _write_data(settings, run, digest, data)
        _write_code(code)

    labelled = settings.runs[run].conditioning == "class"
    return Candidate(run, digest, write, example={"digit": 7} if labelled else {"count": 1})


def _write_data(settings: Settings, run: str, digest: str, folder: Path) -> None:
    """What the served model reads. UserError if the weights are not those of the manifest."""
    source = paths.model(run)
    if content_digest(source / checkpoint.WEIGHTS) != digest:
        raise UserError(f"{source / checkpoint.WEIGHTS}: not those that were trained; audit them")
    for file in (*FILES, "manifest.json"):
        shutil.copyfile(source / file, folder / file)
    write_json(folder / DEFAULTS, _defaults(settings, run))


def _write_code(folder: Path) -> None:
    """The modules that the served model needs, so that it stays what it is when they change."""
    for file in source_files(LOADER):
        target = folder / file.relative_to(SOURCE_ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


def _defaults(settings: Settings, run: str) -> dict[str, Any]:
    """The headline cell, of this run."""
    cell = settings.cell(settings.report.headline).model_dump() | {"run": run}
    if settings.runs[run].conditioning != "class":
        cell["guidance"] = 0.0
    sections = {"sample": settings.sample, "compute": settings.compute}
    return {"cell": cell} | {name: section.model_dump() for name, section in sections.items()}
