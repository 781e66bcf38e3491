"""One stage in a copy of the project, in a process of its own: inputs, `dvc repro`, outputs.

It ends, and all that it has started with it, as soon as the worker that sent it ends.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from threading import Thread
from typing import Any

from filelock import FileLock, Timeout

from mnist_diffusion.distribution import freight
from mnist_diffusion.distribution.bundle import Exchange, Task
from mnist_diffusion.distribution.mirror import Mirror
from mnist_diffusion.distribution.plan import LOCK, read_lock
from mnist_diffusion.files import paths
from mnist_diffusion.files.atomic import write_atomically
from mnist_diffusion.runtime.errors import UserError, describe_os_error
from mnist_diffusion.runtime.locks import LOCKS

RESULT = Path(".result.json")
RESUME = "resume"
"""Within .work, and within the remote: unfinished work by address."""
SECONDS_FOR_ORPHAN = 15.0
"""Which the same stage of a worker that has died may take to end."""


def letter(task: Task, exchange: Exchange) -> bytes:
    """What the process is told, in one line."""
    return json.dumps({"task": asdict(task), "exchange": asdict(exchange)}).encode() + b"\n"


def main() -> int:
    """Do what the letter on stdin says; 1, with a line on stderr, if it cannot be done."""
    from dvc.exceptions import DvcException

    told = json.loads(_until_worker_ends())
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
    with Repo() as repo, _mirrored(repo, task.address, exchange) as mirror:
        with repo.lock:
            _bring(repo, task, exchange)
        repo.reproduce(task.address, single_item=True)
        entry = read_lock()[task.address]
        with repo.lock:
            _hand_over(repo, task.address, freight.whole(repo, entry), exchange)
        if mirror:
            mirror.clear()
    timing = paths.TIMINGS / f"{task.address}.json"
    told = json.loads(timing.read_text(encoding="utf-8")) if timing.exists() else None
    # Not sorted: the order within an entry is that of DVC.
    write_atomically(RESULT, json.dumps({"entry": entry, "timing": told}))


def _bring(repo: Any, task: Task, exchange: Exchange) -> None:
    """All that the stage reads, and what the run cache of others has of it."""
    parents = [freight.whole(repo, entry) for entry in task.parents.values()]
    if exchange.cache is None:
        freight.pull(repo, parents)
    for parent in parents:
        freight.place(parent)
    (paths.TIMINGS / f"{task.address}.json").unlink(missing_ok=True)
    if exchange.cache is None:
        from dvc.stage.cache import RunCacheNotFoundError

        stage = _stage(repo, task.address)
        stage.save_deps()
        freight.run_cache(repo, stage, to_remote=False)
        with suppress(RunCacheNotFoundError):
            repo.stage_cache.restore(stage, pull=True)


def _hand_over(repo: Any, address: str, made: Any, exchange: Exchange) -> None:
    """All that the stage has made into the cache, also what DVC does not keep by itself."""
    stage = _stage(repo, address)
    repo.stage_cache.save(stage)
    freight.offer(repo, [made])
    if exchange.cache is None:
        freight.push(repo, [made])
        freight.run_cache(repo, stage, to_remote=True)


def _stage(repo: Any, address: str) -> Any:
    return repo.stage.load_one(name=address)


@contextmanager
def _mirrored(repo: Any, address: str, exchange: Exchange) -> Iterator[Mirror | None]:
    """Where hosts do not share .work: unfinished work is kept where data is exchanged, too."""
    if exchange.work is not None:
        yield None
        return
    if exchange.cache is None:
        odb = repo.cloud.get_remote_odb(None, "repro", hash_name="md5-dos2unix")
        fs, root = odb.fs, odb.path
    else:
        fs, root = repo.cache.local.fs, exchange.cache
    with Mirror(fs, fs.join(root, RESUME, address), paths.WORK / RESUME / address) as mirror:
        yield mirror


def _let_orphan_end(address: str) -> None:
    """Wait while another process of this host is at the stage; it refuses to be a second one."""
    lock = FileLock(LOCKS / address, SECONDS_FOR_ORPHAN, fallback_to_soft=False)
    LOCKS.mkdir(parents=True, exist_ok=True)
    with suppress(Timeout), lock:
        pass


def _until_worker_ends() -> bytes:
    """The letter; from now on this process ends with its group when the other end is closed."""
    source = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    letter = b""
    while not letter.endswith(b"\n"):
        part = os.read(source, 1 << 16)
        letter += part
        if not part:
            break

    def watch() -> None:
        os.read(source, 1)
        os.killpg(0, signal.SIGKILL)

    Thread(target=watch, name="worker-watch", daemon=True).start()
    return letter


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
