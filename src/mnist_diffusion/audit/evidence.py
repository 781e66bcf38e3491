"""Files as they are now, each read and hashed once, however many cells rest on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from mnist_diffusion.audit import pipeline
from mnist_diffusion.audit.dvcfiles import cache_folder, folder_md5
from mnist_diffusion.audit.plainfiles import regular
from mnist_diffusion.files import paths
from mnist_diffusion.files.yamlfile import read_yaml
from mnist_diffusion.provenance.digests import content_digest
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import Settings, parse_settings

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
        self._yaml: Callable[[Path], dict[str, Any]] = cache(lambda p: read_yaml(regular(p)))
        self._lock: Callable[[Path], dict[str, Any]] = cache(_stages)
        self._parsed: Callable[[bytes], Any] = cache(YAML(typ="safe", pure=True).load)
        self._pipeline: dict[str, pipeline.Declared] | Exception | None = None

    @property
    def params(self) -> dict[str, Any]:
        """All of params.yaml, unchecked."""
        return self._yaml(paths.PARAMS)

    @cached_property
    def settings(self) -> Settings:
        """The same, checked; UserError if these are no settings."""
        return parse_settings(self.params, str(paths.PARAMS))

    @property
    def lock(self) -> dict[str, Any]:
        """The stages of dvc.lock, none if it is not there; UserError if it is no lock."""
        return self._lock(LOCK)

    @property
    def pipeline(self) -> dict[str, pipeline.Declared]:
        """The stages that dvc.yaml declares; DVC, and what keeps it from reading, is asked once."""
        if self._pipeline is None:
            try:
                self._require_readable()
                self._pipeline = pipeline.declared()
            except Exception as error:
                self._pipeline = error
        if isinstance(self._pipeline, Exception):
            raise self._pipeline
        return self._pipeline

    def _require_readable(self) -> None:
        """Of what DVC reads: it would wait at a pipe, and die with us of what is nested deeply."""
        for path in (pipeline.FILE, paths.PARAMS):
            self._yaml(path)
        if LOCK.exists():
            regular(LOCK)
        _ = self.lock

    def params_at(self, text: bytes) -> Any:
        """A params.yaml of another time."""
        return self._parsed(text)

    @cached_property
    def cache(self) -> Path:
        """DVC's cache."""
        return cache_folder()


def _json(path: Path) -> Any:
    return json.loads(regular(path).read_text(encoding="utf-8"))


def _stages(path: Path) -> dict[str, Any]:
    """By the pure parser: libyaml dies of what is nested deeply, and takes us with it."""
    stages = read_yaml(path).get("stages") if path.is_file() else {}
    if not isinstance(stages, dict):
        raise UserError(f"{path}: holds no stages; restore it from git")
    return stages
