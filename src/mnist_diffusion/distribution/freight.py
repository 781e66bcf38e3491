"""Outs of stages between a copy of the project, DVC's cache and its remote.

Outs that DVC does not cache (`cache: false`) are put into the cache all the same, as DVC's run
cache does with metrics. So an entry of dvc.lock is all that has to travel otherwise.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mnist_diffusion.runtime.errors import UserError


def whole(repo: Any, entry: Mapping[str, Any]) -> Any:
    """A stage as an entry of dvc.lock has it; all of its outs count as cached."""
    return repo.stage_cache._create_stage(dict(entry))


def offer(repo: Any, stages: Iterable[Any]) -> None:
    """Put outs that are here into the cache, where they are not in it."""
    with repo.stage_cache._cache_type_copy():
        for stage in stages:
            for out in stage.outs:
                if out.changed_cache():
                    out.commit()


def push(repo: Any, stages: Iterable[Any]) -> None:
    """Bring the outs of stages from the cache to the remote; UserError if that takes not all."""
    for odb, objects in _objects(stages).items():
        _require_all(repo, repo.cloud.push(objects, odb=odb), "written")


def pull(repo: Any, stages: Iterable[Any]) -> None:
    """Bring the outs of stages from the remote to the cache; UserError if one is not there."""
    for odb, objects in _objects(stages).items():
        _require_all(repo, repo.cloud.pull(objects, odb=odb), "read")


def place(stage: Any, uncached: Iterable[str] = ()) -> None:
    """Put a stage's outs from the cache into the folder, and take what else lies in theirs away.

    Those that are `uncached` come as files of their own, which git may have, and not as links.
    """
    apart = {*uncached}
    with stage.repo.stage_cache._cache_type_copy():
        for out in stage.outs:
            if out.def_path in apart:
                out.checkout(force=True)
    for out in stage.outs:
        if out.def_path not in apart:
            out.checkout(force=True)


def run_cache(repo: Any, stage: Any, *, to_remote: bool) -> None:
    """Bring what the run cache has of this very stage, deps and all, to the remote or from it."""
    from dvc.stage.cache import _can_hash, _get_stage_hash

    if not _can_hash(stage):
        return
    key = _get_stage_hash(stage)
    here = Path(repo.stage_cache._get_cache_dir(key))
    odb = repo.cloud.get_remote_odb(None, "repro", hash_name="md5-dos2unix")
    there = odb.fs.join(odb.path, "runs", key[:2], key)
    if to_remote:
        for path in here.iterdir():
            odb.fs.put_file(os.fspath(path), odb.fs.join(there, path.name))
        return
    with suppress(FileNotFoundError):
        for source in odb.fs.find(there):
            here.mkdir(parents=True, exist_ok=True)
            odb.fs.get_file(source, os.fspath(here / odb.fs.name(source)))


def _objects(stages: Iterable[Any]) -> dict[Any, set[Any]]:
    found: dict[Any, set[Any]] = defaultdict(set)
    for stage in stages:
        for odb, objects in stage.get_used_objs().items():
            found[odb] |= objects
    return found


def _require_all(repo: Any, outcome: Any, done: str) -> None:
    if outcome.failed:
        first = min(str(one.obj_name or one.value) for one in outcome.failed)
        raise UserError(
            f"{remote_url(repo)}: {first} cannot be {done}; "
            "mend the remote, or give it room, and run this again"
        )


def remote_url(repo: Any) -> str:
    """Where DVC's default remote is."""
    name = repo.config["core"].get("remote")
    return str(repo.config["remote"].get(name, {}).get("url", "remote"))
