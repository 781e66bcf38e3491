"""A stage ends with the DVC that runs it.

DVC that is killed leaves its stage behind, and the next DVC starts another: that one would find the
first one's lock. There can be a shell between the two, so the death of the parent alone tells
nothing.
"""

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from threading import Thread

import psutil

MARK = "DVC_STAGE"
"""DVC sets this for what it runs, and has it not, or another, itself."""
SECONDS_BETWEEN_LOOKS = 0.5


def exit_with_parent() -> None:
    """Kill this process as soon as DVC, or a shell between, ends; nothing where DVC is not."""
    if MARK not in os.environ:
        return
    ancestors = _up_to_dvc()
    if not ancestors or not _in_one_session([psutil.Process(), *ancestors][-2:]):
        _kill_self()  # DVC is dead already, and what it started was adopted
    _kill_self_when_one_ends(ancestors)


def _up_to_dvc() -> list[psutil.Process]:
    """The shells that DVC has started to run us, if any, and DVC itself."""
    ancestors = []
    for ancestor in psutil.Process().parents():
        ancestors.append(ancestor)
        with suppress(psutil.Error, OSError):
            if ancestor.environ().get(MARK) == os.environ[MARK]:
                continue
        break
    return ancestors


def _kill_self_when_one_ends(processes: Sequence[psutil.Process]) -> None:
    """Look now and then, in a thread."""

    def watch() -> None:
        while all(map(_alive, processes)):
            time.sleep(SECONDS_BETWEEN_LOOKS)
        _kill_self()

    Thread(target=watch, name="parent-watch", daemon=True).start()


def _in_one_session(processes: Sequence[psutil.Process]) -> bool:
    """DVC and what it has started itself; torchrun, between, starts sessions of its own."""
    return len({os.getsid(one.pid) for one in processes}) == 1


def _alive(process: psutil.Process) -> bool:
    """Whether it runs: not a zombie, nor another process with its id."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _kill_self() -> None:
    with suppress(OSError):
        os.write(2, f"{os.environ[MARK]}: DVC has ended, so this ends too\n".encode())
    os.kill(os.getpid(), signal.SIGKILL)
