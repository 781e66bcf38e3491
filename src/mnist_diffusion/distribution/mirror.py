"""Unfinished work mirrored to where other hosts find it: the files of .work/resume/ADDRESS."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

SECONDS_BETWEEN = 15.0


class Mirror:
    """Keeps a folder's whole files also at a `place` of a file system of DVC's, while entered.

    Left without an error, the work is published, and the place is emptied.
    """

    def __init__(self, fs: Any, place: str, folder: Path):
        self._fs, self._place, self._folder = fs, place, folder
        self._kept: dict[str, tuple[int, int]] = {}
        self._end = Event()
        self._thread = Thread(target=self._go_on, name="mirror", daemon=True)

    def __enter__(self) -> Mirror:
        """Take up what another host has left, if this one has nothing."""
        if not self._files():
            self._take()
        self._thread.start()
        return self

    def __exit__(self, error: object, *_: object) -> None:
        self._end.set()
        self._thread.join()
        if error is None:
            self._try(self._empty)

    def keep(self) -> None:
        """Copy what is new. Files were renamed into place, so each of them is whole."""
        for path in self._files():
            with suppress(FileNotFoundError):
                stat = path.stat()
                state = (stat.st_mtime_ns, stat.st_size)
                if self._kept.get(path.name) != state:
                    self._fs.put_file(os.fspath(path), self._fs.join(self._place, path.name))
                    self._kept[path.name] = state

    def _go_on(self) -> None:
        while not self._end.wait(SECONDS_BETWEEN):
            self._try(self.keep)

    def _try(self, work: Callable[[], None]) -> None:
        """What fails costs time or room, and no result."""
        try:
            work()
        except Exception as error:  # of whatever library speaks to the remote
            cause = " ".join(str(error).split())[:200]
            sys.stderr.write(f"warning: {self._place}: not mirrored ({cause})\n")

    def _empty(self) -> None:
        with suppress(FileNotFoundError):
            for name in self._fs.find(self._place):
                self._fs.remove(name)

    def _take(self) -> None:
        with suppress(FileNotFoundError):
            for source in self._fs.find(self._place):
                target = self._folder / self._fs.name(source)
                temporary = target.with_name(f".{target.name}.{os.getpid()}")
                target.parent.mkdir(parents=True, exist_ok=True)
                self._fs.get_file(source, os.fspath(temporary))
                temporary.replace(target)

    def _files(self) -> list[Path]:
        return [path for path in self._folder.glob("[!.]*") if path.is_file()]
