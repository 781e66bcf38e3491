"""What dvc.yaml declares, as DVC itself reads it: what each stage runs, needs and leaves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.dependency.param import ParamsDependency
from dvc.exceptions import DvcException
from dvc.repo import Repo

from mnist_diffusion.runtime.errors import UserError

FILE = Path("dvc.yaml")


@dataclass(frozen=True)
class Declared:
    """One stage, its paths and dotted keys as they stand in dvc.lock."""

    command: str
    parts: Mapping[str, frozenset[str]]
    """Its `deps`, `outs` and `params`."""


def declared() -> dict[str, Declared]:
    """Every stage by its address; UserError if DVC cannot read them."""
    try:
        with Repo() as repo:
            return {stage.addressing: _declared(stage) for stage in repo.index.stages}
    except (DvcException, OSError) as error:
        raise UserError(f"DVC cannot read it: {' '.join(str(error).split())}") from None


def _declared(stage: Any) -> Declared:
    params = [dep for dep in stage.deps if isinstance(dep, ParamsDependency)]
    return Declared(
        str(stage.cmd),
        {
            "deps": _paths(dep for dep in stage.deps if dep not in params),
            "outs": _paths(stage.outs),
            "params": frozenset(str(key) for dep in params for key in dep.params),
        },
    )


def _paths(entries: Iterable[Any]) -> frozenset[str]:
    return frozenset(str(entry.def_path) for entry in entries)
