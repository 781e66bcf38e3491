"""From the spool into MLflow, in one process at a time."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Thread
from typing import TypeVar

from mnist_diffusion.tracking import runs, spool
from mnist_diffusion.tracking.entry import UnusableEntryError

LIMIT_SECONDS = 120.0
"""How long one entry may take; opening MLflow counts to the first."""
PATIENCE_SECONDS = 60.0
"""How long whoever must log waits for another process to end its logging."""
LOCK = ".lock"

Answer = TypeVar("Answer")


def flush() -> None:
    """Log every noted run, oldest first, and take it out of the spool.

    Nothing here raises. Where the store fails, one line on stderr tells so, and the rest stays for
    the next flush. Returns at once if another process is flushing.
    """
    try:
        if spool.waiting():
            with alone() as is_alone:
                if is_alone:
                    log_waiting()
    except Exception as error:
        what = f"runs are kept in {spool.SPOOL} and will be logged at the next flush to MLflow"
        spool.warn(what, error)


@contextmanager
def alone(patience: float = 0.0) -> Iterator[bool]:
    """Hold the spool's lock, which ends with the process; False if another process keeps it."""
    deadline = time.monotonic() + patience
    with (spool.folder() / LOCK).open("w") as file:
        while not (taken := _locked(file.fileno())) and time.monotonic() < deadline:
            time.sleep(0.1)
        yield taken


@contextmanager
def in_turn(patience: float) -> Iterator[None]:
    """Be alone, after waiting for it, whether or not anything was ever noted; or TimeoutError."""
    spool.folder().mkdir(parents=True, exist_ok=True)
    with alone(patience) as is_alone:
        if not is_alone:
            raise TimeoutError("another process is logging to it")
        yield


def log_waiting() -> None:
    """Log all entries; only for whoever is alone. Errors tell of the store.

    Looks again after each entry: whoever was turned away by the lock has left one.
    """
    while places := spool.waiting():
        place = places[0]
        try:
            entry = spool.read(place)
            within(LIMIT_SECONDS, partial(runs.log, entry, spool.artifacts(place)))
        except UnusableEntryError as error:
            spool.set_aside(place)
            aside = spool.SPOOL / spool.BROKEN / place.name
            spool.warn(f"{aside}: moved there, will be missing in MLflow", error)
        else:
            spool.remove(place)


def within(limit: float, work: Callable[[], Answer]) -> Answer:
    """Do work, or give up on it: some dead stores (a database, a network disk) never answer."""
    answers: list[Answer] = []
    errors: list[Exception] = []

    def attempt() -> None:
        try:
            answers.append(work())
        except Exception as error:
            errors.append(error)

    thread = Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(limit)
    if thread.is_alive():
        raise TimeoutError(f"the store did not finish within {limit:.0f} s")
    if errors:
        raise errors[0]
    return answers[0]


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
