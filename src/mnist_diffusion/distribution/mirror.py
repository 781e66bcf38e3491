"""Unfinished work mirrored to where other hosts find it: the files of .work/resume/ADDRESS."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

from mnist_diffusion.distribution.transfer import take

SECONDS_BETWEEN = 5.0


@contextmanager
def mirrored(fs: Any, place: str, folder: Path, seconds: float = SECONDS_BETWEEN) -> Iterator[None]:
    """Keep a folder's whole files also at a `place` of a file system of DVC's, every so often.

    What another host has left there is taken up, if this one has nothing. Left without an error,
    the work is published, and the place is emptied. What fails costs time or room, and no result.
    """
    if not _whole(folder):
        with _told(place):
            take(fs, place, folder)
    end = Event()
    thread = Thread(target=_keep, args=(fs, place, folder, seconds, end), daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
    with _told(place), suppress(FileNotFoundError):
        for name in fs.find(place):
            fs.remove(name)


def _keep(fs: Any, place: str, folder: Path, seconds: float, end: Event) -> None:
    """Copy what is new. Files were renamed into place, so each of them is whole."""
    kept: dict[Path, tuple[int, int]] = {}
    while not end.wait(seconds):
        for path in _whole(folder):
            with _told(place), suppress(FileNotFoundError):
                state = (path.stat().st_mtime_ns, path.stat().st_size)
                if kept.get(path) != state:
                    fs.put_file(os.fspath(path), fs.join(place, path.name))
                    kept[path] = state


def _whole(folder: Path) -> list[Path]:
    return [path for path in folder.glob("[!.]*") if path.is_file()]


@contextmanager
def _told(place: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # of whatever library speaks to the remote
        cause = " ".join(str(error).split())[:200]
        sys.stderr.write(f"warning: {place}: not mirrored ({cause})\n")
