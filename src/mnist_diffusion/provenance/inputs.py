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
from mnist_diffusion.provenance.digests import file_digest, json_digest
from mnist_diffusion.provenance.environment import environment
from mnist_diffusion.provenance.folders import address, content_digests, read_manifest
from mnist_diffusion.provenance.source import stage_code
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import Settings, load_settings

LOCKFILE = Path("requirements.lock")

Parameters = Callable[..., Mapping[str, Any]]
"""What decides a result, from the settings and, of one of many, the name of its run or cell."""


@dataclass(frozen=True)
class Inputs:
    """The digests of what a stage has read, and where it runs."""

    stage: str
    name: str | None
    """The run or the cell, if the stage is one of many."""
    files: Mapping[str, str]
    """Content digests of the files read, by path from the repository's root."""
    made_from: Mapping[str, str]
    """The manifests behind them by address, and files that have none by path."""
    parameters: Mapping[str, Any]
    code: Mapping[str, str]
    """Digests of the stage's source, by path from the folder of the package."""
    environment: Mapping[str, str]
    parameters_of: Parameters

    @property
    def key(self) -> str:
        """A digest that work may be resumed under: equal where all that went in is equal."""
        return json_digest([self.files, self.parameters, self.code, self.environment])

    @property
    def sources(self) -> dict[str, Any]:
        """What every artifact holds of what made it."""
        code = {
            "sha256": json_digest(self.code),
            "files": dict(self.code),
            "lockfile_sha256": file_digest(LOCKFILE) if LOCKFILE.exists() else None,
        }
        return {
            "made_from": dict(self.made_from),
            "code": code,
            "environment": dict(self.environment),
        }

    def verify(self) -> None:
        """UserError if anything is not as it was when the stage started."""
        files = content_digests(map(Path, self.files))
        parameters = self.parameters_of(load_settings(), *_given(self.name))
        changed = _differing(self.files, files)
        changed += [f"src/{path}" for path in _differing(self.code, stage_code(self.stage))]
        changed += [f"params.yaml: {key}" for key in _differing(self.parameters, parameters)]
        if changed:
            raise UserError(f"{changed[0]}: changed while the stage ran; run `dvc repro` again")


def snapshot_inputs(
    module: str,
    name: str | None,
    settings: Settings,
    parameters: Parameters,
    files: Sequence[Path],
    device: object = None,
) -> Inputs:
    """Digest what the stage in `module` is about to work from, and on.

    `files` are folders that an earlier stage published with a manifest, and single files.
    UserError if a folder is not what its manifest says.
    """
    digests: dict[str, str] = {}
    made_from: dict[str, str] = {}
    for path in files:
        if path.is_dir():
            manifest = read_manifest(path)
            digests |= _published(path, manifest)
            made_from[address(manifest)] = json_digest(manifest)
        else:
            digests |= content_digests([path])
            made_from[path.as_posix()] = digests[path.as_posix()]
    stage = module.rpartition(".")[2]
    return Inputs(
        stage,
        name,
        digests,
        made_from,
        parameters(settings, *_given(name)),
        stage_code(stage),
        environment(device),
        parameters,
    )


def _published(folder: Path, manifest: dict[str, Any]) -> dict[str, str]:
    """The folder's digests, which must be those of its manifest."""
    here = content_digests(map(Path, manifest["files"]))
    wrong = _differing(manifest["files"], here)
    if wrong:
        raise UserError(
            f"{wrong[0]}: not what {folder / MANIFEST} says; delete it and run `dvc repro`"
        )
    return here


def _given(name: str | None) -> list[str]:
    return [name] if name else []


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return [key for key in sorted({*before, *now}) if before.get(key) != now.get(key)]
