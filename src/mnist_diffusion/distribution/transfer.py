"""Outs of stages between a copy of the project, DVC's cache and its remote; unfinished work, too.

Outs that DVC does not cache (`cache: false`) are put into the cache all the same, as DVC's run
cache does with metrics. So an entry of dvc.lock is all that has to travel otherwise.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

from dvc.stage.cache import _can_hash, _get_stage_hash

from mnist_diffusion.runtime.errors import UserError, in_one_line

SECONDS_BETWEEN_COPIES = 5.0
"""Of unfinished work."""


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
        cause = ""
        try:
            if failed := move(objects, odb=odb).failed:
                first = min(str(one.obj_name or one.value) for one in failed)
                cause = f"{first} cannot be {done}"
        except Exception as error:  # of whatever library speaks to the remote
            cause = in_one_line(error)
        if cause:
            url = repo.config["remote"][repo.config["core"]["remote"]]["url"]
            raise UserError(f"{url}: {cause}; mend the remote, or give it room, and run this again")


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


def push_run(repo: Any, stage: Any) -> None:
    """Bring what the run cache has of this very stage, deps and all, to the remote."""
    for fs, here, there in _runs(repo, stage):
        for path in here.iterdir():
            fs.put_file(os.fspath(path), fs.join(there, path.name))


def pull_run(repo: Any, stage: Any) -> None:
    """Bring what the remote's run cache has of this very stage here."""
    for fs, here, there in _runs(repo, stage):
        _take(fs, there, here)


def _runs(repo: Any, stage: Any) -> Iterator[tuple[Any, Path, str]]:
    """Where the run cache keeps a stage, here and on the remote; nowhere if it cannot keep it."""
    if _can_hash(stage):
        key, remote = _get_stage_hash(stage), remote_store(repo)
        there = remote.fs.join(remote.path, "runs", key[:2], key)
        yield remote.fs, Path(repo.stage_cache._get_cache_dir(key)), there


@contextmanager
def mirrored(
    fs: Any, place: str, folder: Path, seconds: float = SECONDS_BETWEEN_COPIES
) -> Iterator[None]:
    """Keep a folder's whole files also at a `place` of a file system of DVC's, every so often.

    What another host has left there is taken up, if this one has nothing. Left without an error,
    the work is published, and the place is emptied. What fails costs time or room, and no result.
    """
    if not _whole(folder):
        with _told(place):
            _take(fs, place, folder)
    end = Event()
    thread = Thread(target=_keep, args=(fs, place, folder, seconds, end), daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
    with _told(place), suppress(FileNotFoundError):
        for name in fs.find(place):
            fs.remove(name)


def _keep(fs: Any, place: str, folder: Path, seconds: float, end: Event) -> None:
    """Copy what is new. Files were renamed into place, so each of them is whole."""
    kept: dict[Path, tuple[int, int]] = {}
    while not end.wait(seconds):
        for path in _whole(folder):
            with _told(place), suppress(FileNotFoundError):
                state = (path.stat().st_mtime_ns, path.stat().st_size)
                if kept.get(path) != state:
                    fs.put_file(os.fspath(path), fs.join(place, path.name))
                    kept[path] = state


def _take(fs: Any, place: str, folder: Path) -> None:
    """Bring the files of a place on a file system of DVC's here, each whole or not at all."""
    with suppress(FileNotFoundError):
        for source in fs.find(place):
            folder.mkdir(parents=True, exist_ok=True)
            temporary = folder / f".{fs.name(source)}.{os.getpid()}"
            fs.get_file(source, os.fspath(temporary))
            temporary.replace(folder / fs.name(source))


def _whole(folder: Path) -> list[Path]:
    return [path for path in folder.glob("[!.]*") if path.is_file()]


@contextmanager
def _told(place: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # of whatever library speaks to the remote
        sys.stderr.write(f"warning: {place}: not mirrored ({in_one_line(error)})\n")
