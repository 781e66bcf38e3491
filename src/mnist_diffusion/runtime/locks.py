"""One writer at a time: whoever writes what an address stands for holds its lock meanwhile.

The lock is the kernel's own on `.work/locks/<address>`, so it ends with its process however that
ends. The file stays, and holds the last writer's process id.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from mnist_diffusion.files import paths
from mnist_diffusion.runtime.errors import UserError

SECONDS = 0.2
"""Enough to take a lock anew that its holder has discarded between our open and our lock."""


@contextmanager
def exclusive_lock(address: str) -> Iterator[None]:
    """Be the only process that writes an address, or UserError at once."""
    place = paths.LOCKS / address
    lock = FileLock(
        place,
        timeout=SECONDS,
        fallback_to_soft=False,  # a file that only says so outlives its process
        on_acquired=_note_holder,
    )
    try:
        paths.LOCKS.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise UserError(_taken(address)) from None
    except OSError as error:
        raise UserError(
            f"{place}: cannot be locked ({error.strerror}); "
            f"make {paths.WORK} a writable folder, with room, on a disk that has locks"
        ) from None
    try:
        yield
    finally:
        lock.release()


def recreate_dir(folder: Path) -> Path:
    """The folder, there and empty: what a killed writer left is none of the next one's outputs."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def discard_lock(address: str) -> None:
    """Delete the file of a lock; only for whoever holds it."""
    (paths.LOCKS / address).unlink(missing_ok=True)


def _note_holder(descriptor: int) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)


def _taken(address: str) -> str:
    holder = ""
    with suppress(OSError, UnicodeDecodeError):
        holder = (paths.LOCKS / address).read_text(encoding="utf-8")
    who = f"another process (pid {holder})" if holder.isdecimal() else "another process"
    return f"{address}: is being written by {who}; wait for it, or end it"
