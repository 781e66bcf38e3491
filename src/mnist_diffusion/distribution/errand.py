"""One stage in a copy of the project, in a process of its own: inputs, `dvc repro`, outputs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

from mnist_diffusion.distribution import transfer
from mnist_diffusion.distribution.bundle import Exchange, Task
from mnist_diffusion.distribution.mirror import mirrored
from mnist_diffusion.distribution.plan import read_lock
from mnist_diffusion.distribution.quick_dvc import open_repo
from mnist_diffusion.files import paths
from mnist_diffusion.runtime.errors import UserError, describe_os_error

RESULT = Path(".result.json")
"""Within a copy."""
RESUME = "resume"
"""Within .work, and where data is exchanged: unfinished work by address."""


def do(task: Task, exchange: Exchange, run: Callable[..., None] | None) -> int:
    """Run a stage; 1, with a line on stderr, if that cannot be done.

    `run` is what runs its command, given to DVC in place of the shell.
    """
    from dvc.exceptions import DvcException
    from dvc.stage import run as commands
    from dvc.stage.exceptions import StageCmdFailedError

    commands._run = run or commands._run
    try:
        _reproduce(task, exchange)
    except (UserError, OSError, DvcException) as error:
        cause = error.__cause__ or error  # of DVC's errors, which only say what has failed
        if not isinstance(cause, StageCmdFailedError):  # or else the stage has told why
            line = describe_os_error(error) if isinstance(error, OSError) else str(cause)
            sys.stderr.write(f"error: {' '.join(line.split())}\n")
        return 1
    return 0


def _reproduce(task: Task, exchange: Exchange) -> None:
    paths.LOCK.unlink(missing_ok=True)
    timing = paths.timing_of(task.address)
    timing.unlink(missing_ok=True)
    with open_repo(_config(exchange)) as repo, _mirrored(repo, task.address, exchange):
        with repo.lock:
            _bring(repo, task, exchange)
        repo.reproduce(task.address, single_item=True)
        entry = read_lock()[task.address]
        with repo.lock:
            _hand_over(repo, task.address, transfer.stage_of(repo, entry), exchange)
    told = json.loads(timing.read_text(encoding="utf-8")) if timing.exists() else None
    # Not sorted: the order within an entry is that of DVC.
    RESULT.write_text(json.dumps({"entry": entry, "timing": told}), encoding="utf-8")


def _config(exchange: Exchange) -> dict[str, dict[str, Any]]:
    """DVC's settings of a copy: no git, where its data is, and nothing outside that outlives it."""
    core: dict[str, Any] = {"no_scm": True, "site_cache_dir": str(Path(".dvc/site").resolve())}
    cache = {"dir": exchange.cache, "type": "reflink,hardlink,copy"}
    if not exchange.remote:
        return {"core": core, "cache": cache}
    options = dict(exchange.remote)
    core["remote"] = options.pop("name")
    return {"core": core, "cache": cache, "remote": {core["remote"]: options}}


def _bring(repo: Any, task: Task, exchange: Exchange) -> None:
    """All that the stage reads, and what the run cache of others has of it."""
    parents = [transfer.stage_of(repo, entry) for entry in task.parents.values()]
    if exchange.remote:
        transfer.pull(repo, parents)
    for parent in parents:
        transfer.checkout(parent)
    if exchange.remote:
        _restore(repo, repo.stage.load_one(name=task.address))


def _restore(repo: Any, stage: Any) -> None:
    from dvc.stage.cache import RunCacheNotFoundError

    stage.save_deps()
    transfer.pull_run(repo, stage)
    with suppress(RunCacheNotFoundError):
        repo.stage_cache.restore(stage, pull=True)


def _hand_over(repo: Any, address: str, made: Any, exchange: Exchange) -> None:
    """All that the stage has made into the cache, also what DVC does not keep by itself."""
    stage = repo.stage.load_one(name=address)
    repo.stage_cache.save(stage)  # which DVC does only where all outs are cached
    transfer.commit(repo, [made])
    if exchange.remote:
        transfer.push(repo, [made])
        transfer.push_run(repo, stage)


def _mirrored(repo: Any, address: str, exchange: Exchange) -> AbstractContextManager[object]:
    """Where hosts do not share .work: unfinished work is kept where data is exchanged, too."""
    if exchange.work:
        return nullcontext()
    store = transfer.remote_store(repo) if exchange.remote else repo.cache.legacy
    place = store.fs.join(store.path, RESUME, address)
    return mirrored(store.fs, place, paths.WORK / RESUME / address)
