"""What a stage published: a folder whose manifest names every file by the digest of its content."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mnist_diffusion.errors import UserError
from mnist_diffusion.jsonfile import read_json
from mnist_diffusion.provenance.digests import content_digest

MANIFEST = "manifest.json"


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a folder, which is written last: without one the folder is not whole."""
    path = folder / MANIFEST
    content = read_json(path)
    if not isinstance(content, dict) or not {"stage", "name", "files"} <= content.keys():
        raise UserError(f"{path}: not a manifest of this version; delete it and run `dvc repro`")
    return content


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
