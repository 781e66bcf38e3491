"""One stage in a copy of the project, in a process of its own: inputs, `dvc repro`, outputs.

It ends, and all that it has started with it, as soon as the worker that sent it ends.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from threading import Thread
from typing import Any

from filelock import FileLock, Timeout

from mnist_diffusion.distribution import transfer
from mnist_diffusion.distribution.bundle import Exchange, Task
from mnist_diffusion.distribution.mirror import Mirror
from mnist_diffusion.distribution.plan import LOCK, read_lock
from mnist_diffusion.files import paths
from mnist_diffusion.files.atomic import write_atomically
from mnist_diffusion.runtime.errors import UserError, describe_os_error
from mnist_diffusion.runtime.locks import LOCKS

ORDER, RESULT = Path(".order.json"), Path(".result.json")
"""Within a copy."""
RESUME = "resume"
"""Within .work, and within the remote: unfinished work by address."""
SECONDS_FOR_ORPHAN = 15.0
"""Which the same stage of a worker that has died may take to end."""


def write_order(folder: Path, task: Task, exchange: Exchange) -> None:
    """Tell the process that is to be started in a copy what it is to do."""
    told = {"task": asdict(task), "exchange": asdict(exchange)}
    write_atomically(folder / ORDER, json.dumps(told))


def main() -> int:
    """Do what was ordered; 1, with a line on stderr, if it cannot be done."""
    from dvc.exceptions import DvcException

    _end_with_worker()
    told = json.loads(ORDER.read_text(encoding="utf-8"))
    try:
        _run(Task(**told["task"]), Exchange(**told["exchange"]))
    except UserError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(describe_os_error(error))
    except DvcException as error:
        return _fail_in_dvc(error)
    return 0


def _run(task: Task, exchange: Exchange) -> None:
    from dvc.repo import Repo

    _let_orphan_end(task.address)
    LOCK.unlink(missing_ok=True)
    timing = paths.TIMINGS / f"{task.address}.json"
    timing.unlink(missing_ok=True)
    with Repo() as repo, _mirrored(repo, task.address, exchange):
        with repo.lock:
            _bring(repo, task, exchange)
        repo.reproduce(task.address, single_item=True)
        entry = read_lock()[task.address]
        with repo.lock:
            _hand_over(repo, task.address, transfer.stage_of(repo, entry), exchange)
    told = json.loads(timing.read_text(encoding="utf-8")) if timing.exists() else None
    # Not sorted: the order within an entry is that of DVC.
    write_atomically(RESULT, json.dumps({"entry": entry, "timing": told}))


def _bring(repo: Any, task: Task, exchange: Exchange) -> None:
    """All that the stage reads, and what the run cache of others has of it."""
    parents = [transfer.stage_of(repo, entry) for entry in task.parents.values()]
    if exchange.cache is None:
        transfer.pull(repo, parents)
    for parent in parents:
        transfer.checkout(parent)
    if exchange.cache is None:
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
    repo.stage_cache.save(stage)
    transfer.commit(repo, [made])
    if exchange.cache is None:
        transfer.push(repo, [made])
        transfer.push_run(repo, stage)


def _mirrored(repo: Any, address: str, exchange: Exchange) -> AbstractContextManager[object]:
    """Where hosts do not share .work: unfinished work is kept where data is exchanged, too."""
    if exchange.work:
        return nullcontext()
    if exchange.cache:
        fs, root = repo.cache.local.fs, exchange.cache
    else:
        store = transfer.remote_store(repo)
        fs, root = store.fs, store.path
    return Mirror(fs, fs.join(root, RESUME, address), paths.WORK / RESUME / address)


def _let_orphan_end(address: str) -> None:
    """Wait while another process of this host is at the stage; it refuses to be a second one."""
    lock = FileLock(LOCKS / address, SECONDS_FOR_ORPHAN, fallback_to_soft=False)
    LOCKS.mkdir(parents=True, exist_ok=True)
    with suppress(Timeout), lock:
        pass


def _end_with_worker() -> None:
    """Kill this process and its group when the worker's end of stdin closes."""
    source = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # what is started here has no part in it

    def watch() -> None:
        os.read(source, 1)
        os.killpg(0, signal.SIGKILL)

    Thread(target=watch, name="worker-watch", daemon=True).start()


def _fail(cause: str) -> int:
    sys.stderr.write(f"error: {cause}\n")
    return 1


def _fail_in_dvc(error: Exception) -> int:
    """A stage that fails has told why itself; what else DVC has to say stands behind its error."""
    from dvc.stage.exceptions import StageCmdFailedError

    if isinstance(error.__cause__, StageCmdFailedError):
        return 1
    return _fail(" ".join(str(error.__cause__ or error).split()))


if __name__ == "__main__":
    raise SystemExit(main())
