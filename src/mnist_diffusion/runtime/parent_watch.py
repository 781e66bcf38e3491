"""A stage ends with the DVC that runs it.

DVC that is killed leaves its stage behind, and the next DVC starts another: that one would find the
first one's lock. There can be a shell between the two, so the death of the parent alone tells
nothing.
"""

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Thread

import psutil

MARK = "DVC_STAGE"
"""DVC sets this for what it runs, and has it not, or another, itself."""
SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_TO_END = 10.0
"""What an interrupted process has to put its files in order."""


def exit_with_parent() -> None:
    """Kill this process as soon as DVC, or a shell between, ends; nothing where DVC is not."""
    if MARK not in os.environ:
        return
    ancestors = _up_to_dvc()
    started_by_dvc = [os.getpid(), *(one.pid for one in ancestors)][-2:][0]
    if not ancestors or os.getsid(ancestors[-1].pid) != os.getsid(started_by_dvc):
        _kill_self()  # DVC is dead already, and what it started was adopted
    _when_one_ends(ancestors, _kill_self)


def interrupt_with_parent(parent: int) -> None:
    """Interrupt this process and its group, as Ctrl-C does, as soon as the process `parent` ends.

    For DVC, which must not be killed while it writes its lock.
    """
    alive = [psutil.Process(parent)] if psutil.pid_exists(parent) else []
    _when_one_ends(alive, _interrupt_group)


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


def _when_one_ends(processes: Sequence[psutil.Process], act: Callable[[], None]) -> None:
    """Look now and then, in a thread; of no processes one has ended already."""

    def watch() -> None:
        while processes and all(map(_alive, processes)):
            time.sleep(SECONDS_BETWEEN_LOOKS)
        act()

    Thread(target=watch, name="parent-watch", daemon=True).start()


def _alive(process: psutil.Process) -> bool:
    """Whether it runs: not a zombie, nor another process with its id."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _interrupt_group() -> None:
    os.killpg(0, signal.SIGINT)
    time.sleep(SECONDS_TO_END)
    os.killpg(0, signal.SIGKILL)


def _kill_self() -> None:
    with suppress(OSError):
        os.write(2, f"{os.environ[MARK]}: DVC has ended, so this ends too\n".encode())
    os.kill(os.getpid(), signal.SIGKILL)
