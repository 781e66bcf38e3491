"""What dvc.yaml declares, as DVC itself reads it: what each stage runs, needs and leaves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dvc.dependency.param import ParamsDependency
from dvc.exceptions import DvcException
from dvc.repo import Repo

from mnist_diffusion.errors import UserError

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


def recorded(stage: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """The same parts of a stage of dvc.lock."""
    params = stage.get("params") or {}
    return {
        **{
            part: frozenset(str(entry["path"]) for entry in stage.get(part) or ())
            for part in ("deps", "outs")
        },
        "params": frozenset(key for values in params.values() for key in values),
    }


def _declared(stage: Any) -> Declared:
    params = [dep for dep in stage.deps if isinstance(dep, ParamsDependency)]
    files = partial(_paths, without=params)
    return Declared(
        str(stage.cmd),
        {
            "deps": files(stage.deps),
            "outs": files(stage.outs),
            "params": frozenset(str(key) for dep in params for key in dep.params),
        },
    )


def _paths(entries: Iterable[Any], without: list[Any]) -> frozenset[str]:
    return frozenset(str(entry.def_path) for entry in entries if entry not in without)
