"""What a stage works from, and what it publishes: never one without digests of the other.

Data, parameters and source are digested when a stage starts and again when it ends. DVC hashes
dependencies after a stage has ended: what was edited meanwhile would be recorded as what the stage
had read (dvc#11058). Here a difference refuses to publish.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json, write_json
from mnist_diffusion.pipeline import MANIFEST, STAGES
from mnist_diffusion.provenance.digests import content_digest, file_digest, json_digest
from mnist_diffusion.provenance.environment import environment, rounding
from mnist_diffusion.provenance.schemas.artifact import Sourced, dump
from mnist_diffusion.provenance.schemas.manifest import SCHEMA, Manifest
from mnist_diffusion.provenance.source import stage_code
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import Settings, load_settings

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
        return json_digest([self.files, self.parameters, self.code, rounding(self.environment)])

    @property
    def sources(self) -> dict[str, Any]:
        """What every artifact holds of what made it."""
        made_from, environment = dict(self.made_from), dict(self.environment)
        return {"made_from": made_from, "code": told_of(self.code), "environment": environment}

    def verify(self) -> None:
        """UserError if anything is not as it was when the stage started."""
        files = content_digests(map(Path, self.files))
        parameters = self.parameters_of(load_settings(), *filter(None, [self.name]))
        changed = _differing(self.files, files)
        changed += [f"src/{path}" for path in _differing(self.code, stage_code(self.stage))]
        changed += [f"params.yaml: {key}" for key in _differing(self.parameters, parameters)]
        if changed:
            raise UserError(f"{changed[0]}: changed while the stage ran; run `dvc repro` again")


def told_of(code: Mapping[str, str]) -> dict[str, Any]:
    """What an artifact holds of the source that decided it, and of the packages."""
    lockfile = file_digest(paths.REQUIREMENTS) if paths.REQUIREMENTS.exists() else None
    return {"sha256": json_digest(code), "files": dict(code), "lockfile_sha256": lockfile}


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
    digests, made_from = digested(files)
    stage = module.rpartition(".")[2]
    return Inputs(
        stage,
        name,
        digests,
        made_from,
        parameters(settings, *filter(None, [name])),
        stage_code(stage),
        environment(device),
        parameters,
    )


def digested(files: Iterable[Path]) -> tuple[dict[str, str], dict[str, str]]:
    """Content digests of files by path, and what `made_from` says of them.

    UserError if a folder is not what its manifest says.
    """
    digests: dict[str, str] = {}
    made_from: dict[str, str] = {}
    for path in files:
        if path.is_dir():
            manifest = read_manifest(path)
            digests |= _published(path, manifest)
            made_from[_address(manifest)] = json_digest(manifest)
        else:
            digests |= content_digests([path])
            made_from[path.as_posix()] = digests[path.as_posix()]
    return digests, made_from


def publish_folder(
    folder: Path, inputs: Inputs, /, reports: Sequence[Path] = (), **details: Any
) -> None:
    """Write a folder's manifest, which makes it whole.

    `reports` are files beside the folder, `details` what the stage has to add. UserError if
    anything that went in has changed since it was digested.
    """
    inside = sorted(p for p in folder.rglob("*") if not p.is_dir() and p != folder / MANIFEST)
    content = {
        "schema": SCHEMA,
        "stage": inputs.stage,
        "name": inputs.name,
        "files": content_digests([*inside, *reports]),
        "parameters": dict(inputs.parameters),
        **inputs.sources,
        **details,
    }
    Manifest.model_validate(content)
    inputs.verify()
    write_json(folder / MANIFEST, content)


def publish_report(path: Path, inputs: Inputs, shape: type[Sourced], /, **content: Any) -> None:
    """Write the JSON of a stage that publishes no folder, with what made it.

    UserError if anything that went in has changed since it was digested.
    """
    artifact = shape(**content, **inputs.sources)
    inputs.verify()
    dump(path, artifact)


class Head(BaseModel):
    """What everyone who reads a manifest relies on."""

    model_config = ConfigDict(extra="ignore", strict=True)

    schema_: Literal[2] = Field(alias="schema")
    stage: str
    name: str | None
    files: dict[str, str]


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a folder, which is written last: without one the folder is not whole.

    UserError if it is none, or that of another folder.
    """
    path = folder / MANIFEST
    content: dict[str, Any] = read_json(path)
    try:
        Head.model_validate(content)
    except ValidationError:
        cause = "not a manifest of this version"
    else:
        cause = f"the manifest of {_address(content)!r:.100}"
        if _address(content) in _addresses_of(folder):
            _require_its_config(folder, content)
            return content
    raise UserError(f"{path}: {cause}; delete it and run `dvc repro`")


def content_digests(paths: Iterable[Path]) -> dict[str, str]:
    """Content digests by path; UserError for a file that is missing or unreadable."""
    found = {}
    for path in paths:
        try:
            found[path.as_posix()] = content_digest(path)
        except FileNotFoundError:
            raise UserError(f"{path}: not found; run `dvc repro`") from None
        except (OSError, ValueError, EOFError) as error:
            cause = str(error).splitlines()[0][:120]
            raise UserError(f"{path}: unreadable ({cause}); delete it, run `dvc repro`") from None
    return found


def _require_its_config(folder: Path, content: Mapping[str, Any]) -> None:
    """A run says how it was trained twice: in its manifest, and beside the weights it rebuilds."""
    config = folder / "config.json"
    if content["stage"] in ("train", "distill") and read_json(config) != content.get("parameters"):
        raise UserError(f"{config}: not what {MANIFEST} says; delete it and run `dvc repro`")


def _address(manifest: Mapping[str, Any]) -> str:
    """The stage that a manifest is of, as DVC calls it."""
    stage, name = manifest["stage"], manifest["name"]
    return f"{stage}@{name}" if name else str(stage)


def _addresses_of(folder: Path) -> list[str]:
    """The stages that may publish a folder, as DVC calls them: runs and students share a place."""
    name = folder.name
    stages = [s for s in STAGES.values() if s.folder and s.folder(name if s.per else "") == folder]
    return [stage.address(name if stage.per else None) for stage in stages]


def _published(folder: Path, manifest: dict[str, Any]) -> dict[str, str]:
    """The folder's digests, which must be those of its manifest."""
    here = content_digests(map(Path, manifest["files"]))
    wrong = _differing(manifest["files"], here)
    if wrong:
        raise UserError(
            f"{wrong[0]}: not what {folder / MANIFEST} says; delete it and run `dvc repro`"
        )
    return here


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return [key for key in sorted({*before, *now}) if before.get(key) != now.get(key)]
