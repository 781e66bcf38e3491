"""Outs of stages between a copy of the project, DVC's cache and its remote.

Outs that DVC does not cache (`cache: false`) are put into the cache all the same, as DVC's run
cache does with metrics. So an entry of dvc.lock is all that has to travel otherwise.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mnist_diffusion.runtime.errors import UserError


def stage_of(repo: Any, entry: Mapping[str, Any]) -> Any:
    """A stage as an entry of dvc.lock has it; all of its outs count as cached."""
    return repo.stage_cache._create_stage(dict(entry))


def commit(repo: Any, stages: Iterable[Any]) -> None:
    """Put outs that are here into the cache, where they are not in it."""
    with repo.stage_cache._cache_type_copy():
        for stage in stages:
            for out in stage.outs:
                if out.changed_cache():
                    out.commit()


def push(repo: Any, stages: Iterable[Any]) -> None:
    """Bring the outs of stages from the cache to the remote; UserError if that takes not all."""
    _move(repo, stages, repo.cloud.push, "written")


def pull(repo: Any, stages: Iterable[Any]) -> None:
    """Bring the outs of stages from the remote to the cache; UserError if one is not there."""
    _move(repo, stages, repo.cloud.pull, "read")


def _move(repo: Any, stages: Iterable[Any], move: Callable[..., Any], done: str) -> None:
    found: dict[Any, set[Any]] = defaultdict(set)
    for stage in stages:
        for odb, objects in stage.get_used_objs().items():
            found[odb] |= objects
    for odb, objects in found.items():
        if failed := move(objects, odb=odb).failed:
            first = min(str(one.obj_name or one.value) for one in failed)
            url = repo.config["remote"][repo.config["core"]["remote"]]["url"]
            raise UserError(
                f"{url}: {first} cannot be {done}; "
                "mend the remote, or give it room, and run this again"
            )


def checkout(stage: Any, uncached: Iterable[str] = ()) -> None:
    """Put a stage's outs from the cache into the folder, and take what else lies in theirs away.

    Those that are `uncached` come as files of their own, which git may have, and not as links.
    """
    apart = {*uncached}
    for out in stage.outs:
        if out.def_path in apart:
            with stage.repo.stage_cache._cache_type_copy():
                out.checkout(force=True)
        else:
            out.checkout(force=True)


def remote_store(repo: Any) -> Any:
    """DVC's default remote: a path, and the file system that it is on."""
    return repo.cloud.get_remote_odb(None, "repro", hash_name="md5-dos2unix")


def take(fs: Any, place: str, folder: Path) -> None:
    """Bring the files of a place on a file system of DVC's here, each whole or not at all."""
    with suppress(FileNotFoundError):
        for source in fs.find(place):
            folder.mkdir(parents=True, exist_ok=True)
            temporary = folder / f".{fs.name(source)}.{os.getpid()}"
            fs.get_file(source, os.fspath(temporary))
            temporary.replace(folder / fs.name(source))


def push_run(repo: Any, stage: Any) -> None:
    """Bring what the run cache has of this very stage, deps and all, to the remote."""
    here, there = _runs(repo, stage)
    if here:
        fs = remote_store(repo).fs
        for path in here.iterdir():
            fs.put_file(os.fspath(path), fs.join(there, path.name))


def pull_run(repo: Any, stage: Any) -> None:
    """Bring what the remote's run cache has of this very stage here."""
    here, there = _runs(repo, stage)
    if here:
        take(remote_store(repo).fs, there, here)


def _runs(repo: Any, stage: Any) -> tuple[Path | None, str]:
    """Where the run cache keeps a stage, here and on the remote; None: it cannot keep it."""
    from dvc.stage.cache import _can_hash, _get_stage_hash

    if not _can_hash(stage):
        return None, ""
    key, remote = _get_stage_hash(stage), remote_store(repo)
    here = Path(repo.stage_cache._get_cache_dir(key))
    return here, remote.fs.join(remote.path, "runs", key[:2], key)
