"""Processes for stages, forked from one that keeps what they import: torch alone takes 2 s of CPU.

There is one such process for each worker, in its copy of the project. It forks an errand for each
stage, in a session of its own, and that one forks the stage, before DVC has begun anything in it.
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
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any, NoReturn

from mnist_diffusion.distribution import errand
from mnist_diffusion.distribution.bundle import RANKS, Exchange, Task
from mnist_diffusion.provenance.source import stage_code
from mnist_diffusion.runtime.instructions import limit_instructions
from mnist_diffusion.settings import load_settings


def serve() -> None:
    """Do the errands that stdin tells, a line each, until it closes.

    The id of each one's process is written to stdout, and its exit code when it has ended.
    """
    import dvc.repo  # noqa: F401  # for the errands

    orders, answers = os.fdopen(os.dup(0)), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for line in orders:
        order = json.loads(line)
        _say_to(Path(order["log"]))
        if order["stage"]:
            _import(order["stage"])
        child = os.fork()
        if not child:
            os.close(answers)
            _leave(lambda: _errand(orders.fileno(), **order))  # noqa: B023
        os.write(answers, f"{child}\n".encode())
        _, status = os.waitpid(child, 0)
        os.write(answers, f"{os.waitstatus_to_exitcode(status)}\n".encode())


def _say_to(log: Path) -> None:
    """What this process and those of the stage say goes there."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for standard in (1, 2):
        os.dup2(file, standard)
    os.close(file)


def _import(stage: str) -> None:
    """What a stage of ours needs, with the kernels it asks for; what fails, it tells itself."""
    with suppress(Exception):
        limit_instructions(load_settings().compute.instructions)
        importlib.import_module("mnist_diffusion.cli")
        importlib.import_module(f"mnist_diffusion.stages.{stage}")
        stage_code(stage)  # which it compares, and keeps the parsed source
        gc.freeze()  # or each child would look through all that, and make copies of it


def _errand(
    orders: int, task: dict[str, Any], exchange: dict[str, Any], stage: str, **_: Any
) -> int:
    os.setsid()
    os.environ[RANKS] = str(max(1, task["gpus"]))
    run = _stand_by(stage) if stage else None
    _end_with(orders)
    return errand.do(Task(**task), Exchange(**exchange), run)


def _end_with(orders: int) -> None:
    """Kill this process and its group when the worker ends, whose end of the orders closes then."""

    def watch() -> None:
        os.read(orders, 1)
        os.killpg(0, signal.SIGKILL)

    Thread(target=watch, name="worker-watch", daemon=True).start()


def _stand_by(stage: str) -> Callable[..., None]:
    """Fork a process that becomes `mnist-diffusion STAGE` as soon as the function is called.

    DVC calls it in place of its own that runs a command in a shell.
    """
    source, sink = os.pipe()
    child = os.fork()
    if not child:
        os.close(sink)
        _leave(lambda: _become(stage, source))
    os.close(source)

    def run(executable: str, command: str, *, env: dict[str, str], **options: Any) -> None:
        from dvc.stage.exceptions import StageCmdFailedError

        with os.fdopen(sink, "w") as told:
            json.dump(env, told)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code == -signal.SIGKILL:  # by a system out of memory: the worker tries again
            os.killpg(0, signal.SIGKILL)
        if code:
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


if __name__ == "__main__":
    serve()
