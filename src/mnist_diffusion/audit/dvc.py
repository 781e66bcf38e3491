"""DVC's own opinion of what is here: dvc.yaml, dvc.lock, files and cache, all of it hashed anew.

DVC believes its database of hashes wherever size and time of a file are as they were, so it is
asked with an empty one; and in a process of its own, which dies of YAML that is nested too deeply.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import TypeAdapter

from mnist_diffusion.audit.output import Finding, Findings, failed, unverified
from mnist_diffusion.files import paths
from mnist_diffusion.runtime.errors import UserError

DELETED, NEW = "deleted", "new"
"""DVC's words for what is not there, and for what dvc.lock does not have."""
UNDECLARED = "undeclared"
"""Ours for what dvc.lock has, and dvc.yaml does not."""

Words = dict[str, str]
"""A word for each name; empty where nothing changed."""


@dataclass(frozen=True)
class State:
    """What DVC says of one stage."""

    recorded: bool
    """dvc.lock has it."""
    command: bool
    """dvc.yaml runs another command than dvc.lock has."""
    deps: Words
    """By path, for files and folders that go in."""
    outs: Words
    params: Words
    """By dotted key of params.yaml."""
    broken: dict[str, str]
    """Objects of the cache whose content was changed, with the path that they are of."""


@dataclass(frozen=True)
class Answer:
    """What DVC says of every stage by its address, and where its cache lies."""

    stages: dict[str, State]
    cache: Path

    @cached_property
    def makers(self) -> dict[str, dict[str, list[str]]]:
        """By stage and what goes into it besides source, the stages that leave it or part of it."""
        return {
            address: {dep: self._made(dep) for dep in state.deps if not is_source(dep)}
            for address, state in self.stages.items()
        }

    def _made(self, dep: str) -> list[str]:
        return [name for name, state in self.stages.items() if _meet(state.outs, dep)]

    def changed(self, dep: str) -> bool:
        """Whether what the stages left that make a file or folder was changed since."""
        states = self.stages.values()
        return any(word and _meet([out], dep) for s in states for out, word in s.outs.items())


def is_source(path: str) -> bool:
    """Whether it is what the stage `code` says of the source, or the source itself."""
    return any(Path(path).is_relative_to(place) for place in ("src", paths.CODE))


def ask() -> Answer:
    """Let DVC hash everything; FileNotFoundError without a pipeline, UserError if it cannot."""
    for path in (paths.PIPELINE, paths.PARAMS):
        path.lstat()
    _require_no_pipes()
    command = [sys.executable, "-m", __name__]
    with TemporaryDirectory() as empty:
        environment = {**os.environ, "DVC_SITE_CACHE_DIR": empty}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        message = done.stderr.strip().splitlines()[-1:] or [f"it died of signal {-done.returncode}"]
        raise UserError(f"DVC cannot read the pipeline: {message[0][:300]}")
    return TypeAdapter(Answer).validate_json(done.stdout)


def check(answer: Answer, address: str) -> Findings:
    """The stage is declared and recorded, and all that it runs, needs and leaves is as recorded.

    What another stage left, and somebody has changed since, is for the check of that stage.
    """
    state = answer.stages.get(address)
    if state is None:
        text = "not declared; `mnist-diffusion prune` shows what nothing declares any more"
        yield unverified(f"{paths.PIPELINE}: {address}", text)
    elif not state.recorded:
        yield unverified(f"{paths.LOCK}: {address}", "not there; `dvc repro` adds it")
    else:
        if state.command:
            text = f"not the command that {paths.LOCK} recorded"
            yield failed(f"{paths.PIPELINE}: {address}.cmd", text)
        deps = {dep: word for dep, word in state.deps.items() if not answer.changed(dep)}
        params = {f"{paths.PARAMS}: {key}": word for key, word in state.params.items()}
        for name, word in [*deps.items(), *state.outs.items(), *params.items()]:
            if word:
                yield _change(address, name, word)
        for place, path in state.broken.items():
            yield failed(place, f"DVC's cached copy of {path} was changed")


def _change(address: str, name: str, word: str) -> Finding:
    entry = f"{paths.LOCK}: {address}: {name}"
    if word == NEW:
        return unverified(entry, f"in {paths.PIPELINE} alone; run `dvc repro`")
    if word == UNDECLARED:
        return unverified(entry, f"not in {paths.PIPELINE} any more; run `dvc repro`")
    if word == DELETED:
        return unverified(name, f"not there; `dvc repro {address}` brings it back")
    if is_source(name):
        return unverified(name, f"{address} was made by other source")
    return failed(name, f"not what {paths.LOCK} recorded of {address}")


def _meet(outs: Iterable[str], dep: str) -> bool:
    """Whether any is the path, within it, or around it."""
    return any(f"{out}/".startswith(f"{dep}/") or dep.startswith(f"{out}/") for out in outs)


def _require_no_pipes() -> None:
    """ValueError for what is neither file nor folder: DVC would wait at it for ever."""
    inside = (path for folder in paths.PUBLISHED for path in folder.rglob("*"))
    for path in (paths.PIPELINE, paths.LOCK, paths.PARAMS, *inside):
        if path.exists() and not path.is_file() and not path.is_dir():
            raise ValueError(f"{path} is no plain file")


def main() -> None:
    """In the process of its own: the answer, as JSON."""
    from dvc.repo import Repo

    with Repo() as repo:
        stages, cache = list(repo.index.stages), repo.cache.local
        lock = stages[0].dvcfile.lockfile_contents.get("stages") or {} if stages else {}
        states = {
            stage.addressing: _state(stage, lock.get(stage.addressing, {}), cache)
            for stage in stages
        }
        sys.stdout.write(json.dumps({"stages": states, "cache": str(cache.path)}))


def _state(stage: Any, lock: Any, cache: Any) -> dict[str, Any]:
    from dvc.dependency.param import ParamsDependency

    params = [dep for dep in stage.deps if isinstance(dep, ParamsDependency)]
    return {
        "recorded": bool(lock),
        "command": stage.changed_stage(),
        "deps": _words([dep for dep in stage.deps if dep not in params], lock.get("deps", ())),
        "outs": _words(stage.outs, lock.get("outs", ())),
        "params": {key: word for dep in params for key, word in _keys(dep)},
        "broken": {place: str(out) for out in stage.outs for place in _broken(out, cache)},
    }


def _words(declared: Iterable[Any], lock: Iterable[Any]) -> Words:
    """DVC's word for each path, whether or not the cache has a copy."""
    recorded = {str(entry["path"]) for entry in lock}
    words = {str(one.def_path): "".join(one.workspace_status().values()) for one in declared}
    known = {path: word if path in recorded else NEW for path, word in words.items()}
    return dict.fromkeys(recorded, UNDECLARED) | known


def _keys(params: Any) -> Iterator[tuple[str, str]]:
    """Each key with DVC's word for it, or with its word for all of params.yaml."""
    words: Any = next(iter(params.status().values()), {})
    for key in params.params:
        yield key, words if isinstance(words, str) else words.get(key, "")


def _broken(out: Any, cache: Any) -> Iterator[str]:
    """The cache's objects of an out that are not what they are named after, read-only or not."""
    from dvc.fs import localfs
    from dvc_data.hashfile.hash import file_md5

    waiting = [out.hash_info.value] if out.use_cache and out.hash_info else []
    while waiting:
        md5 = waiting.pop()
        place = Path(cache.oid_to_path(md5))
        if place.is_file() and file_md5(str(place), localfs) != md5.removesuffix(".dir"):
            yield os.path.relpath(place)
        elif place.is_file() and md5.endswith(".dir"):
            listed = json.loads(place.read_text(encoding="utf-8"))
            waiting += [entry["md5"] for entry in listed]


if __name__ == "__main__":
    main()
