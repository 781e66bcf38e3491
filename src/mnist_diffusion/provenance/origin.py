"""What a stage works from: data, parameters and source, digested at its start and at its end.

DVC hashes dependencies after a stage has ended: what was edited meanwhile would be recorded as what
the stage had read (dvc#11058). Here a difference refuses to publish.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnist_diffusion.pipeline import MANIFEST
from mnist_diffusion.provenance.digests import SOURCE_ROOT, file_digest, json_digest
from mnist_diffusion.provenance.folders import address, content_digests, read_manifest
from mnist_diffusion.provenance.imports import tracked_files
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import Settings, load_settings

LOCKFILE = Path("requirements.lock")


Parameters = Callable[[Settings], Mapping[str, Any]]


@dataclass(frozen=True)
class Origin:
    """The digests of what a stage has read."""

    module: str
    """The stage's module, whose last part is the stage's name."""
    name: str | None
    """The run or the cell, if the stage is one of many."""
    inputs: Mapping[str, str]
    """Content digests of the files read, by path from the repository's root."""
    made_from: Mapping[str, str]
    """The manifests behind them by address, and files that have none by path."""
    parameters: Mapping[str, Any]
    code: Mapping[str, str]
    """SHA-256 of each source file the stage imports, by path from the folder of the package."""
    parameters_of: Parameters

    @property
    def stage(self) -> str:
        return self.module.rpartition(".")[2]

    def key(self, **more: Any) -> str:
        """A digest that work may be resumed under: equal where all that went in is equal."""
        return json_digest([self.inputs, self.parameters, self.code, more])

    def verify(self) -> None:
        """UserError if anything is not as it was when the stage started."""
        files = content_digests([Path(path) for path in self.inputs])
        parameters = self.parameters_of(load_settings())
        changed = _differing(self.inputs, files)
        changed += [f"src/{path}" for path in _differing(self.code, _code(self.module))]
        changed += [f"params.yaml: {key}" for key in _differing(self.parameters, parameters)]
        if changed:
            raise UserError(f"{changed[0]}: changed while the stage ran; run `dvc repro` again")


def origin(
    module: str,
    name: str | None,
    settings: Settings,
    parameters: Parameters,
    inputs: Sequence[Path],
) -> Origin:
    """Digest what the stage in `module` is about to work from.

    `inputs` are folders that an earlier stage published with a manifest, and single files.
    UserError if a folder is not what its manifest says.
    """
    digests: dict[str, str] = {}
    made_from: dict[str, str] = {}
    for path in inputs:
        if path.is_dir():
            manifest = read_manifest(path)
            digests |= _published(path, manifest)
            made_from[address(manifest)] = json_digest(manifest)
        else:
            digests |= content_digests([path])
            made_from[path.as_posix()] = digests[path.as_posix()]
    return Origin(module, name, digests, made_from, parameters(settings), _code(module), parameters)


def code_card(taken: Origin) -> dict[str, Any]:
    """The source in a manifest: one digest over all, one a file, and that of the lockfile."""
    return {
        "sha256": json_digest(taken.code),
        "files": dict(taken.code),
        "lockfile_sha256": file_digest(LOCKFILE) if LOCKFILE.exists() else None,
    }


def _published(folder: Path, manifest: dict[str, Any]) -> dict[str, str]:
    """The folder's digests, which must be those of its manifest."""
    here = content_digests([Path(path) for path in manifest["files"]])
    wrong = _differing(manifest["files"], here)
    if wrong:
        raise UserError(
            f"{wrong[0]}: not what {folder / MANIFEST} says; delete it and run `dvc repro`"
        )
    return here


def _code(module: str) -> dict[str, str]:
    root = SOURCE_ROOT.resolve()
    files = (file.resolve() for file in tracked_files(module))
    return {file.relative_to(root).as_posix(): file_digest(file) for file in files}


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return [key for key in sorted({*before, *now}) if before.get(key) != now.get(key)]
