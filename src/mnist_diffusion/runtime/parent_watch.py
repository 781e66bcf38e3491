"""A stage ends with the DVC that runs it.

DVC that is killed leaves its stage behind, and the next DVC starts another: both would write one
output. There can be a shell between the two, so the death of the parent alone tells nothing.
"""

import os
import select
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from threading import Thread
from typing import NoReturn

import psutil

MARK = "DVC_STAGE"
"""DVC sets this for what it runs, and has it not, or another, itself."""
SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_TO_END = 10.0
"""What an interrupted process has to put its files in order."""


def exit_with_parent() -> None:
    """Kill this process as soon as DVC, or a shell between, ends; nothing where DVC is not."""
    if MARK not in os.environ:
        return
    line = _line_to_dvc()
    if not line or os.getsid(line[-1].pid) != os.getsid(0):
        _die()  # DVC is dead already, and this process was adopted
    Thread(target=_follow, args=[line], name="parent-watch", daemon=True).start()


def interrupt_with_parent(parent: int) -> None:
    """Interrupt this process and its group, as Ctrl-C does, as soon as the process `parent` ends.

    For DVC, which must not be killed while it writes its lock.
    """
    line = [psutil.Process(parent)] if psutil.pid_exists(parent) else []
    Thread(target=_interrupt_after, args=[line], name="parent-watch", daemon=True).start()


def _line_to_dvc() -> list[psutil.Process]:
    """The shells that DVC has started to run us, if any, and DVC itself."""
    line = []
    for ancestor in psutil.Process().parents():
        line.append(ancestor)
        if _mark(ancestor) != os.environ[MARK]:
            break
    return line


def _mark(process: psutil.Process) -> str | None:
    with suppress(psutil.Error, OSError):
        return process.environ().get(MARK)
    return None


def _follow(line: Sequence[psutil.Process]) -> NoReturn:
    _wait_for_end(line)
    _die()


def _interrupt_after(line: Sequence[psutil.Process]) -> None:
    if line:
        _wait_for_end(line)
    os.killpg(0, signal.SIGINT)
    time.sleep(SECONDS_TO_END)
    os.killpg(0, signal.SIGKILL)


def _wait_for_end(line: Sequence[psutil.Process]) -> None:
    """Return as soon as one of them has ended."""
    try:
        _sleep_until_one_ends(line)
    except OSError:  # an older kernel, or another system
        while all(map(_alive, line)):
            time.sleep(SECONDS_BETWEEN_LOOKS)


def _sleep_until_one_ends(line: Sequence[psutil.Process]) -> None:
    """Sleep in the kernel; OSError where it does not offer that."""
    if not hasattr(os, "pidfd_open"):
        raise OSError
    ends = select.poll()
    for process in line:
        try:
            ends.register(os.pidfd_open(process.pid), select.POLLIN)
        except ProcessLookupError:
            return
    # An id that was given to another process meanwhile is told by the time of its start.
    if all(map(_alive, line)):
        ends.poll()


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _die() -> NoReturn:
    with suppress(OSError):
        os.write(2, f"{os.environ[MARK]}: DVC has ended, so this ends too\n".encode())
    os.kill(os.getpid(), signal.SIGKILL)
    raise SystemExit(1)
