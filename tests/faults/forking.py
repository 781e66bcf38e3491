"""Runs `mnist-diffusion` again and again, each in a process of its own that need not import torch.

A line of JSON on stdin asks for a run, a line of JSON on stdout answers. The process that forks has
imported what is slow and computed nothing, so that a child is like any new process.
"""

import errno
import importlib
import json
import os
import re
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
from mnist_diffusion.training import learner

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
PIECE = 64
"""Bytes that still fit into a file on a disk that has just become full."""
OF_ONE_RUN = re.compile(r"[0-9a-f]{12,}|(?<=\.uploading\.).+")
WRITES = "\nwrites: "
SECONDS = 300


class FullDisk:
    """From one write below this folder on, there is no room left for anything new.

    That one is the `nth` of a name. `kind` says how it shows: "open" has no room for a new file or
    folder, "write" for 64 bytes in one, of which the kernel tells whoever writes, Python or not.
    What needs no room is no write: a rename, a file that is cut, a folder that is there already.
    """

    def __init__(self, kind: str | None, name: str, nth: int):
        self.writes: list[str] = []
        """Names of all writes, whether there is room or not; a folder's ends with a slash."""
        self._kind, self._name, self._left = kind, name, nth
        self._root = f"{Path.cwd()}/"
        sys.addaudithook(self._look)

    def _look(self, event: str, arguments: tuple[Any, ...]) -> None:
        name = self._written(event, arguments)
        if name is None:
            return
        self.writes.append(name)
        self._left -= name == self._name
        if self._left <= 0 and self._kind == "write":
            resource.setrlimit(resource.RLIMIT_FSIZE, (PIECE, PIECE))
        if self._left <= 0 and self._kind == "open":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(arguments[0]))

    def _written(self, event: str, arguments: tuple[Any, ...]) -> str | None:
        """What an event writes, by a name that is the same in each run; None if it writes nothing.

        Digests and ids of a run are left out of it, and what temporary files end with.
        """
        opened = event == "open" and bool(arguments[2] & WRITING)
        if not (opened or event == "os.mkdir") or isinstance(arguments[0], int):
            return None
        path = os.path.abspath(os.fsdecode(arguments[0]))  # noqa: PTH100
        if not path.startswith(self._root) or (not opened and os.path.isdir(path)):  # noqa: PTH112
            return None
        name = path.removeprefix(self._root).removesuffix(f".{os.getpid()}")
        return OF_ONE_RUN.sub("*", name) + ("" if opened else "/")


def main() -> None:
    """Answer until stdin ends; training keeps a state after each step."""
    for stage in STAGES:
        importlib.import_module(f"mnist_diffusion.stages.{stage}")
    learner.SAVE_EVERY_SECONDS, learner.SAVE_SHARE = 0, float("inf")
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
    said, _, writes = output.partition(WRITES)
    code = os.waitstatus_to_exitcode(status)
    return {"code": code, "output": said, "writes": json.loads(writes or "[]")}


def _run(request: dict[str, Any]) -> NoReturn:
    signal.alarm(SECONDS)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.update(request["environment"])
    time.tzset()
    os.chdir(request["folder"])
    sys.argv = ["mnist-diffusion", *request["arguments"]]
    disk = FullDisk(request["kind"], *request["at"])
    code: Any = 1
    try:
        mnist_diffusion.cli.main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    sys.stderr.write(f"{WRITES}{json.dumps(disk.writes)}")
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    main()
