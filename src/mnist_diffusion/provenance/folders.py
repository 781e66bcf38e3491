"""What a stage published: a folder whose manifest names every file by the digest of its content."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.pipeline import MANIFEST, STAGES
from mnist_diffusion.provenance.digests import content_digest
from mnist_diffusion.runtime.errors import UserError


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
        cause = f"the manifest of {address(content)!r:.100}"
        if address(content) == address_of(folder):
            _require_its_config(folder, content)
            return content
    raise UserError(f"{path}: {cause}; delete it and run `dvc repro`")


def _require_its_config(folder: Path, content: Mapping[str, Any]) -> None:
    """A run says how it was trained twice: in its manifest, and beside the weights it rebuilds."""
    config = folder / "config.json"
    if content["stage"] == "train" and read_json(config) != content.get("parameters"):
        raise UserError(f"{config}: not what {MANIFEST} says; delete it and run `dvc repro`")


def address_of(folder: Path) -> str:
    """The stage that publishes a folder, as DVC calls it; KeyError if none does."""
    for stage in STAGES.values():
        if stage.folder and stage.folder(folder.name if stage.per else "") == folder:
            return stage.address(folder.name if stage.per else None)
    raise KeyError(folder)


def address(manifest: Mapping[str, Any]) -> str:
    """A stage as DVC calls it."""
    stage, name = manifest["stage"], manifest["name"]
    return f"{stage}@{name}" if name else str(stage)


def listing(folder: Path) -> list[Path]:
    """All files of a folder but its manifest, sorted; temporary ones of a writer count."""
    return sorted(p for p in folder.rglob("*") if not p.is_dir() and p != folder / MANIFEST)


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
