"""`mnist-diffusion export`: a folder in the formats that others read, from what is published."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from dvc.fs import localfs
from dvc.ignore import DvcIgnoreFilter

from mnist_diffusion.files import paths
from mnist_diffusion.files.atomic import write_atomically
from mnist_diffusion.files.jsonfile import write_json
from mnist_diffusion.files.yamlfile import read_lock, read_yaml, value_at
from mnist_diffusion.formats import crate
from mnist_diffusion.formats.citation import Citation, read_citation
from mnist_diffusion.formats.croissant import write_sample_set
from mnist_diffusion.formats.model_card import Judged, judgements, model_card
from mnist_diffusion.formats.onnx_files import onnx_functions
from mnist_diffusion.networks.checkpoint import SNAPSHOTS
from mnist_diffusion.pipeline import STAGES, declared
from mnist_diffusion.provenance.lineage import read_manifest
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.runtime.locks import exclusive_lock, recreate_dir
from mnist_diffusion.runtime.progress_bar import track
from mnist_diffusion.settings import Settings


def export(settings: Settings, folder: Path) -> None:
    """Write the folder, whole or not at all.

    UserError if it is there already, or something that is published is missing, or not what
    dvc.lock recorded. What a killed export has left beside it goes.
    """
    if folder.exists():
        raise UserError(f"{folder}: there already; name a folder that is not")
    lock = recorded(settings)
    with exclusive_lock("export"):
        unfinished = recreate_dir(folder.with_name(f".{folder.name}.unfinished"))
        try:
            _write_all(settings, unfinished, lock)
            unfinished.rename(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def recorded(settings: Settings) -> crate.Lock:
    """What dvc.lock has of the stages that params.yaml declares.

    UserError if it lacks one, or has it by another setting.
    """
    lock, params = read_lock(), read_yaml(paths.PARAMS)
    addresses = [stage.address(name) for stage, name in declared(settings)]
    for address in addresses:
        if not {"deps", "outs"} <= lock.get(address, {}).keys():
            raise UserError(f"{paths.LOCK}: {address}: not there; run `dvc repro`")
        for key, value in lock[address].get("params", {}).get(str(paths.PARAMS), {}).items():
            if value_at(params, key) != value:
                text = f"not what {paths.LOCK} recorded; run `dvc repro`"
                raise UserError(f"{paths.PARAMS}: {key}: {text}")
    return {address: lock[address] for address in addresses}


def _write_all(settings: Settings, folder: Path, lock: crate.Lock) -> None:
    citation = read_citation()
    _write_crate(folder / "crate", lock, citation)
    published = [stage.folder(name or "") for stage, name in declared(settings) if stage.folder]
    models = [place for place in published if place.is_relative_to("models")]
    judged = judgements(settings)
    for model in track(models, total=len(models), description="models", unit="model"):
        _write_model(folder, model, judged, citation)
    cells = track(settings.cells, total=len(settings.cells), description="cells", unit="cell")
    for cell in cells:
        write_sample_set(folder / "samples" / cell, cell, citation)


def _write_model(out: Path, folder: Path, judged: Judged, citation: Citation) -> None:
    """What it holds but snapshots, as ONNX too, and its card."""
    manifest = read_manifest(folder)
    address = STAGES[manifest["stage"]].address(manifest["name"])
    inside = (Path(file) for file in manifest["files"] if Path(file).is_relative_to(folder))
    _copy((file for file in inside if SNAPSHOTS not in file.parts), out)
    functions = dict(onnx_functions(folder))
    for file, function in functions.items():
        write_atomically(out / folder / file, function.onnx())
    card = model_card(manifest, judged.get(address, {}), functions, citation)
    write_atomically(out / folder / "README.md", card)


def _write_crate(folder: Path, lock: crate.Lock, citation: Citation) -> None:
    """All that stages read and wrote, and what tells of it."""
    entries: dict[str, str | None] = dict.fromkeys((crate.WORKFLOW, *crate.BESIDE))
    for stage in lock.values():
        entries |= {entry["path"]: entry["md5"] for entry in [*stage["deps"], *stage["outs"]]}
    looked_at = DvcIgnoreFilter(localfs, str(Path.cwd())).find
    for name, md5 in entries.items():
        source = Path(name)
        if not source.exists():
            raise UserError(f"{source}: not there; `git restore`, `dvc pull` or `dvc repro` it")
        files = [Path(file) for file in (looked_at(localfs, name) if source.is_dir() else [name])]
        _copy(files, folder)
        if md5 and _md5(source, folder, files) != md5:
            raise UserError(f"{source}: not what {paths.LOCK} recorded; run `dvc repro`")
    write_json(folder / crate.METADATA, crate.crate(lock, citation, version("dvc")))


def _copy(files: Iterable[Path], folder: Path) -> None:
    """Copy files to where they stand, from the folder's root."""
    for file in files:
        target = folder / file
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


def _md5(source: Path, folder: Path, files: Iterable[Path]) -> str:
    """What DVC would call the copy in `folder` of a file, or of a folder with these files."""
    sums = {file: hashlib.md5((folder / file).read_bytes()).hexdigest() for file in files}
    if source in sums:
        return sums[source]
    named = sorted((file.relative_to(source).as_posix(), md5) for file, md5 in sums.items())
    listed = [{"md5": md5, "relpath": name} for name, md5 in named]
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode()).hexdigest() + ".dir"
