"""What a commit says: its params.yaml and its source, as this version reads them."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterable
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mnist_diffusion.files import paths
from mnist_diffusion.files.yamlfile import read_yaml
from mnist_diffusion.pipeline import STAGES
from mnist_diffusion.provenance.environment import git
from mnist_diffusion.provenance.source import OWN_ROOT, stage_code
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import Settings, parse_settings

COMMIT = re.compile("[0-9a-f]{7,64}")


@dataclass(frozen=True)
class Past:
    """What a commit has."""

    content: dict[str, Any]
    """Of params.yaml."""
    settings: Settings | UserError
    """What it amounts to, if this version can read all of it."""
    code: dict[str, dict[str, str]]
    """By stage, what decides its result."""

    def settings_of(self, keys: Iterable[str], here: dict[str, Any]) -> Settings:
        """All settings; if this version cannot read them, those `here` with what stands at `keys`.

        `keys` are dotted, those of a stage; `here` is the content of params.yaml. UserError if that
        cannot be read either.
        """
        if isinstance(self.settings, Settings):
            return self.settings
        content = deepcopy(here)
        for key in keys:
            *outer, last = key.split(".")
            try:
                value = reduce(getitem, [*outer, last], self.content)
            except KeyError:
                raise self.settings from None
            reduce(getitem, outer, content)[last] = value
        return parse_settings(content, str(paths.PARAMS))


def past(commit: str) -> Past | None:
    """Parameters and source at a commit; None if there is no such commit, or no git."""
    with TemporaryDirectory() as name:
        root, code = Path(name), {}
        if not COMMIT.fullmatch(commit) or not unpack(commit, (OWN_ROOT, paths.PARAMS), root):
            return None
        for stage in STAGES:
            with suppress(ModuleNotFoundError):  # it had another name then
                code[stage] = stage_code(stage, root / OWN_ROOT)
        content: dict[str, Any] = {}
        try:
            content = read_yaml(root / paths.PARAMS)
            return Past(content, parse_settings(content, str(paths.PARAMS)), code)
        except UserError as error:
            return Past(content, error, code)


def unpack(commit: str, wanted: Iterable[Path], folder: Path) -> bool:
    """Put what a commit has of these into a folder; False if it lacks one, or there is no git."""
    packed = folder / "packed.tar"
    if git("archive", f"--output={packed}", commit, "--", *map(str, wanted)) is None:
        return False
    with tarfile.open(packed) as files:
        files.extractall(folder, filter="data")
    return True
