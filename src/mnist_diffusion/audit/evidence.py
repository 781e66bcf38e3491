"""Files as they are now, each read and hashed once, however many cells rest on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from mnist_diffusion import paths
from mnist_diffusion.audit.dvcfiles import folder_md5
from mnist_diffusion.audit.plainfiles import regular
from mnist_diffusion.errors import UserError
from mnist_diffusion.provenance.digests import content_digest
from mnist_diffusion.yamlfile import read_yaml

LOCK = Path("dvc.lock")


class Evidence:
    """What the checks read. Errors are theirs to tell of; nothing is ever believed from a cache."""

    def __init__(self) -> None:
        self.content: Callable[[Path], str] = cache(lambda path: content_digest(regular(path)))
        """Content digest of a file."""
        self.md5: Callable[[Path], str] = cache(folder_md5)
        """What DVC would record of a file or a folder."""
        self.json: Callable[[Path], Any] = cache(_json)
        self.git: dict[tuple[str, str], bytes | None] = {}
        """Files at commits, by (commit, path)."""
        self._yaml: Callable[[Path], dict[str, Any]] = cache(read_yaml)

    @property
    def params(self) -> dict[str, Any]:
        """All of params.yaml, unchecked."""
        return self._yaml(paths.PARAMS)

    @property
    def lock(self) -> dict[str, Any]:
        """The stages of dvc.lock, none if it is not there; UserError if it is no lock."""
        stages = self._yaml(LOCK).get("stages") if LOCK.is_file() else {}
        if not isinstance(stages, dict):
            raise UserError(f"{LOCK}: holds no stages; restore it from git")
        return stages


def _json(path: Path) -> Any:
    return json.loads(regular(path).read_text(encoding="utf-8"))
