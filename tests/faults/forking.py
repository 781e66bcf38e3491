"""Runs `mnist-diffusion` again and again, each in a process of its own that need not import torch.

A line of JSON on stdin asks for a run, a line of JSON on stdout answers. The process that forks has
imported what is slow and computed nothing, so that a child is like any new process.
"""

import errno
import importlib
import json
import os
import resource
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn

import torch._inductor  # noqa: F401  what asking for deterministic algorithms imports

import mnist_diffusion.cli
from mnist_diffusion.pipeline import STAGES

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
CHANGES = ("os.mkdir", "os.rename", "os.truncate")
PIECE = 64
"""Bytes that still fit into a file on a disk that has just become full."""
COUNTED = "\nwrites: "
SECONDS = 300


class FullDisk:
    """From the Nth time on that something is written below this folder, there is no room left.

    `kind` says how that shows: "open" has no room for a new file, "write" for 64 bytes in one, of
    which the kernel tells whoever writes, Python or not. The writes are counted in any case.
    """

    def __init__(self, kind: str | None, at: int):
        self.count = 0
        self._kind = kind
        self._at = at
        self._root = str(Path.cwd())
        sys.addaudithook(self._look)

    def _look(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._is_write(event, arguments):
            return
        self.count += 1
        if self._kind == "write" and self.count == self._at:
            resource.setrlimit(resource.RLIMIT_FSIZE, (PIECE, PIECE))
        if self._kind == "open" and self.count >= self._at and event in ("open", "os.mkdir"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(arguments[0]))

    def _is_write(self, event: str, arguments: tuple[Any, ...]) -> bool:
        opened = event == "open" and bool(arguments[2] & WRITING)
        if not opened and event not in CHANGES:
            return False
        place = arguments[0]
        if isinstance(place, int):
            return event == "os.truncate"
        return os.path.abspath(os.fsdecode(place)).startswith(self._root)  # noqa: PTH100


def main() -> None:
    """Answer until stdin ends."""
    for stage in STAGES:
        importlib.import_module(f"mnist_diffusion.stages.{stage}")
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_answer(json.loads(line))) + "\n")
        sys.stdout.flush()


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(writing, 1)
        os.dup2(writing, 2)
        _run(request)
    os.close(writing)
    with open(reading, "rb") as pipe:  # noqa: PTH123
        output = pipe.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    said, _, writes = output.partition(COUNTED)
    code = os.waitstatus_to_exitcode(status)
    return {"code": code, "output": said, "writes": int(writes or 0)}


def _run(request: dict[str, Any]) -> NoReturn:
    signal.alarm(SECONDS)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.update(request["environment"])
    time.tzset()
    os.chdir(request["folder"])
    sys.argv = ["mnist-diffusion", *request["arguments"]]
    disk = FullDisk(request["kind"], request["at"])
    code: Any = 1
    try:
        mnist_diffusion.cli.main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(2, f"{COUNTED}{disk.count}".encode())
    os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    main()
