"""From the spool into MLflow, in one process at a time."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Thread

from mnist_diffusion.tracking import runs, spool

LIMIT_SECONDS = 120.0
"""How long one entry may take; opening MLflow counts to the first."""
LOCK = ".lock"


def flush() -> None:
    """Log every noted run, oldest first, and take it out of the spool.

    Nothing here raises. Where the store fails, one line on stderr tells so, and the rest stays for
    the next flush. Returns at once if another process is flushing.
    """
    try:
        if spool.waiting():
            with _alone() as alone:
                if alone:
                    _flush()
    except Exception as error:
        what = f"runs are kept in {spool.SPOOL} and will be logged at the next flush to MLflow"
        spool.warn(what, error)


@contextmanager
def _alone() -> Iterator[bool]:
    """Hold the spool's lock, which ends with the process; False if another process holds it."""
    with (spool.folder() / LOCK).open("w") as file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _flush() -> None:
    """Look again after each entry: whoever was turned away by the lock has left one."""
    while places := spool.waiting():
        place = places[0]
        try:
            entry = spool.read(place)
            _within(LIMIT_SECONDS, partial(runs.log, place.name, entry, spool.artifacts(place)))
        except spool.UnusableEntryError as error:
            spool.set_aside(place)
            aside = spool.SPOOL / spool.BROKEN / place.name
            spool.warn(f"{aside}: moved there, will be missing in MLflow", error)
        else:
            spool.remove(place)


def _within(limit: float, work: Callable[[], None]) -> None:
    """Do work, or give up on it: some dead stores (a database, a network disk) never answer."""
    errors: list[Exception] = []

    def attempt() -> None:
        try:
            work()
        except Exception as error:
            errors.append(error)

    thread = Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(limit)
    if thread.is_alive():
        raise TimeoutError(f"the store did not finish within {limit:.0f} s")
    if errors:
        raise errors[0]
