"""One writer at a time: whoever writes what an address stands for holds its lock meanwhile.

The lock is the kernel's own on `.work/locks/<address>`, so it ends with its process however that
ends. The file stays, and holds the last writer's process id.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mnist_diffusion.files import paths
from mnist_diffusion.runtime.errors import UserError

LOCKS = paths.WORK / "locks"


@contextmanager
def exclusive_lock(address: str) -> Iterator[None]:
    """Be the only process that writes an address, or UserError at once."""
    descriptor = _locked(address)
    try:
        yield
    finally:
        os.close(descriptor)


def recreate_dir(folder: Path) -> Path:
    """The folder, there and empty: what a killed writer left is none of the next one's outputs."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def discard_lock(address: str) -> None:
    """Delete the file of a lock; only for whoever holds it."""
    (LOCKS / address).unlink(missing_ok=True)


def _locked(address: str) -> int:
    """The open file of a lock that is now ours, still under its name."""
    place = LOCKS / address
    while True:
        descriptor = _open(address)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), place.stat()):
                    os.ftruncate(descriptor, 0)
                    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
                    return descriptor
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode(errors="replace")
            os.close(descriptor)
            raise UserError(_taken(address, holder)) from None
        except OSError as error:
            os.close(descriptor)
            raise _impossible(address, error) from None
        os.close(descriptor)  # deleted by who held it before us: a lock on nothing


def _open(address: str) -> int:
    try:
        LOCKS.mkdir(parents=True, exist_ok=True)
        return os.open(LOCKS / address, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise _impossible(address, error) from None


def _taken(address: str, holder: str) -> str:
    who = f"another process (pid {holder})" if holder.isdecimal() else "another process"
    return f"{address}: is being written by {who}; wait for it, or end it"


def _impossible(address: str, error: OSError) -> UserError:
    return UserError(
        f"{LOCKS / address}: cannot be locked ({error.strerror}); "
        f"make {paths.WORK} a writable folder, with room, on a disk that has locks"
    )
