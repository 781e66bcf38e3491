"""A worker's process in its copy of the project: it forks an errand for each stage.

An errand brings what the stage reads, has DVC run it, and hands over what it made. Forked, neither
errand nor stage imports anew what both need, of which torch alone takes 2 s of CPU; the stage is
forked from its errand before DVC has begun anything in that.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from threading import Thread
from typing import Any, NoReturn

from dvc.exceptions import DvcException
from dvc.stage import run as commands
from dvc.stage.cache import RunCacheNotFoundError
from dvc.stage.exceptions import StageCmdFailedError

from mnist_diffusion.distribution import transfer
from mnist_diffusion.distribution.bundle import RANKS, RESULT, Exchange, Task
from mnist_diffusion.distribution.quick_dvc import open_repo
from mnist_diffusion.files import paths
from mnist_diffusion.files.yamlfile import read_lock
from mnist_diffusion.provenance.source import stage_code
from mnist_diffusion.runtime.errors import UserError, describe_os_error
from mnist_diffusion.runtime.instructions import limit_instructions
from mnist_diffusion.settings import load_settings

KILLED = (f"exited with {-signal.SIGKILL}", f"exited with {128 + signal.SIGKILL}")
"""So DVC's error ends for a stage that was killed; the second is what a shell between says."""


def serve() -> None:
    """Do the errands that stdin tells, a line each, until it closes; stdout gets their exit codes.

    Whoever has an end of stdout still is at work, on a stage of ours, too.
    """
    orders, answers = os.fdopen(os.dup(0)), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for line in orders:
        order = json.loads(line)
        _say_to(Path(order["log"]))
        if order["stage"]:
            _import(order["stage"])
        child = os.fork()
        if not child:
            _leave(lambda: _errand(orders.fileno(), **order))  # noqa: B023
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        with suppress(ProcessLookupError):  # what it has left running
            os.killpg(child, signal.SIGKILL)
        os.write(answers, f"{code}\n".encode())


def _say_to(log: Path) -> None:
    """What this process and those of the stage say goes there."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    for standard in (1, 2):
        os.dup2(file, standard)
    os.close(file)


def _import(stage: str) -> None:
    """What a stage of ours needs, with the kernels it asks for; what fails, it tells itself."""
    with suppress(Exception):
        limit_instructions(load_settings().compute.instructions)
        for module in ("cli.stages", "cli.tools", f"stages.{stage}"):
            importlib.import_module(f"mnist_diffusion.{module}")
        stage_code(stage)  # which it compares, and keeps the parsed source
        gc.freeze()  # or each child would look through all that, and make copies of it


def _errand(
    orders: int, task: dict[str, Any], exchange: dict[str, Any], stage: str, **_: Any
) -> int:
    """Run a stage; 1, with a line on stderr, if that cannot be done."""
    os.setsid()
    os.environ[RANKS] = str(max(1, task["gpus"]))
    if stage:
        commands._run = _stand_by(stage)  # in place of a shell
    Thread(target=_end_with, args=(orders,), daemon=True).start()
    try:
        _reproduce(Task(**task), Exchange(**exchange))
    except (UserError, OSError, DvcException) as error:
        cause = error.__cause__ or error  # of DVC's errors, which only say what has failed
        if str(cause).endswith(KILLED):  # by a system out of memory: the worker tries again
            os.killpg(0, signal.SIGKILL)
        if not isinstance(cause, StageCmdFailedError):  # or else the stage has told why
            line = describe_os_error(error) if isinstance(error, OSError) else str(cause)
            sys.stderr.write(f"error: {' '.join(line.split())}\n")
        return 1
    return 0


def _end_with(orders: int) -> None:
    """Kill this process and its group when the worker closes its end of the orders, or dies."""
    os.read(orders, 1)
    os.killpg(0, signal.SIGKILL)


def _stand_by(stage: str) -> Callable[..., None]:
    """Fork a process that becomes `mnist-diffusion STAGE` as soon as the function is called."""
    source, sink = os.pipe()
    child = os.fork()
    if not child:
        os.close(sink)
        _leave(lambda: _become(stage, source))
    os.close(source)

    def run(executable: str, command: str, *, env: dict[str, str], **options: Any) -> None:
        with os.fdopen(sink, "w") as told:
            json.dump(env, told)
        if code := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            raise StageCmdFailedError(command, code)

    return run


def _become(stage: str, source: int) -> None:
    with os.fdopen(source) as told:
        text = told.read()
    if not text:  # DVC had the results already
        return
    os.environ.clear()
    os.environ.update(json.loads(text))
    sys.argv = ["mnist-diffusion", stage]
    runpy.run_module("mnist_diffusion", run_name="__main__")


def _leave(work: Callable[[], int | None]) -> NoReturn:
    """Work, and end this process, without what the one it was forked from does at its own end."""
    code = 1
    try:
        code = work() or 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _reproduce(task: Task, exchange: Exchange) -> None:
    timing = paths.timing_of(task.address)
    for left in (paths.LOCK, timing):
        left.unlink(missing_ok=True)
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


def _mirrored(repo: Any, address: str, exchange: Exchange) -> AbstractContextManager[object]:
    """Where hosts do not share .work: unfinished work is kept where data is exchanged, too."""
    if exchange.work:
        return nullcontext()
    store = transfer.remote_store(repo) if exchange.remote else repo.cache.legacy
    place = store.fs.join(store.path, paths.RESUME.name, address)
    return transfer.mirrored(store.fs, place, paths.RESUME / address)


def _bring(repo: Any, task: Task, exchange: Exchange) -> None:
    """All that the stage reads, and what the run cache of others has of it."""
    parents = [transfer.stage_of(repo, entry) for entry in task.parents.values()]
    if exchange.remote:
        transfer.pull(repo, parents)
    for parent in parents:
        transfer.checkout(parent)
    if exchange.remote:
        stage = repo.stage.load_one(name=task.address)
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


if __name__ == "__main__":
    serve()
