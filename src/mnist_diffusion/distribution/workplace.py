"""A worker's copy of the project, in which stages run one at a time."""

from __future__ import annotations

import io
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mnist_diffusion.distribution.bundle import COPY, RESULT, Exchange, Result, Task
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.runtime.errors import UserError, describe_os_error
from mnist_diffusion.runtime.threads import VARIABLE

SCRATCH = "MNIST_DIFFUSION_SCRATCH"
"""The environment variable that names a host's folder for copies of projects."""
SECONDS_BETWEEN_LOOKS = 0.5
LOG_CHARACTERS = 64 * 1024


@dataclass(frozen=True)
class Slot:
    """What a stage has of its host while it runs."""

    threads: int
    gpus: Sequence[str] | None = None
    """As CUDA_VISIBLE_DEVICES names them; None: that stays as it is."""


def log_of(address: str) -> Path:
    """What a stage said, in a copy or in the project itself."""
    return paths.WORK / "logs" / f"{address}.log"


def scratch() -> Path:
    """The folder of this host for copies of projects, and for what they have in common."""
    default = Path(tempfile.gettempdir()) / f"mnist-diffusion-{os.getuid()}"
    folder = Path(os.environ.get(SCRATCH) or default)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise UserError(f"{folder}: is another user's; set {SCRATCH} to a folder of yours")
    return folder.resolve()


class Workplace:
    """The copy of one run, and the process in it that forks one for each stage."""

    def __init__(self, content: bytes, exchange: Exchange, slot: Slot, folder: Path):
        self.folder = folder
        self._content, self._exchange, self._slot = content, exchange, slot
        self._server: subprocess.Popen[bytes] | None = None

    def perform(self, task: Task, wanted: Callable[[], bool]) -> Result:
        """Run a stage; what fails is told in the result.

        The copy is made if it is not there. All is ended, and the result is of no use, as soon as
        it is not `wanted` any more. ChildProcessError if its process was killed: it may be tried
        again, and goes on where it was.
        """
        begun = time.monotonic()
        log = self.folder / log_of(task.address)
        try:
            if not self.folder.exists():
                self.close()
                _unpack(self._content, self._exchange, self.folder)
            log.parent.mkdir(parents=True, exist_ok=True)
            code = self._attend(self._order(task, log), wanted)
            told = {} if code else read_json(self.folder / RESULT)
            text = log.read_text(encoding="utf-8", errors="replace")[-LOG_CHARACTERS:]
        except UserError as error:
            return Result(task.address, failure=str(error))
        except OSError as error:
            error.filename = error.filename or str(self.folder)
            return Result(task.address, failure=describe_os_error(error))
        if code == -signal.SIGKILL:
            raise ChildProcessError("was killed; give it more memory, or look for who did")
        failure = f"{task.address}: {_last_error(text)}" if code else ""
        seconds = time.monotonic() - begun
        said = "" if self._exchange.work else text
        return Result(task.address, told.get("entry"), told.get("timing"), seconds, failure, said)

    def close(self) -> None:
        """End its process, and return when nothing that it has begun is left.

        Also while a stage is waited for on another thread, which sees that.
        """
        server, self._server = self._server, None
        if server:
            assert server.stdin and server.stdout
            server.kill()
            with suppress(BrokenPipeError):
                server.stdin.close()  # with which errands end
            server.stdout.read()
            server.wait()

    def _order(self, task: Task, log: Path) -> bytes:
        """A line that tells the process what to do, and which stage of ours that is, if any.

        One of several processes, or on a GPU, starts by itself: CUDA does not survive a fork.
        """
        ours = re.fullmatch(r"mnist-diffusion (\w+)", task.command)
        stage = ours[1] if ours and task.gpus < 2 and not self._slot.gpus else ""
        cache = self._exchange.cache or str(scratch() / "cache")
        exchange = asdict(replace(self._exchange, cache=cache))
        told = {"task": asdict(task), "exchange": exchange, "log": str(log), "stage": stage}
        return f"{json.dumps(told)}\n".encode()

    def _attend(self, order: bytes, wanted: Callable[[], bool]) -> int:
        """Wait for the exit code of an errand, or end it."""
        self._server = server = self._server or _start(self.folder, self._slot)
        assert server.stdin and server.stdout
        with suppress(BrokenPipeError):
            server.stdin.write(order)
            server.stdin.flush()
        while wanted() and server.poll() is None:
            told = select.select([server.stdout], [], [], SECONDS_BETWEEN_LOOKS)[0]
            if told and (code := os.read(server.stdout.fileno(), 64)):
                return int(code)
        self.close()
        return -signal.SIGKILL


def _unpack(content: bytes, exchange: Exchange, folder: Path) -> None:
    """Make the copy, whole or not at all, in place of those of other runs."""
    shutil.rmtree(folder.parent, ignore_errors=True)
    new = folder.with_suffix(".new")
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        tar.extractall(new, filter="data")
    (new / ".dvc").mkdir(exist_ok=True)
    if exchange.work:
        (new / paths.WORK).symlink_to(exchange.work)
    new.rename(folder)


def _start(folder: Path, slot: Slot) -> subprocess.Popen[bytes]:
    """The process of a copy, which ends when its stdin closes."""
    first = {"PATH": Path(sys.executable).parent, "PYTHONPATH": folder / "src"}
    environment = os.environ | {
        name: os.pathsep.join(filter(None, [str(place), os.environ.get(name)]))
        for name, place in first.items()
    }
    environment |= {COPY: "1", VARIABLE: str(slot.threads)}
    environment.pop("DVC_ROOT", None)
    if slot.gpus is not None:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(slot.gpus)
    return subprocess.Popen(
        [sys.executable, "-m", "mnist_diffusion.distribution.errand"],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        env=environment,
    )


def _last_error(text: str) -> str:
    """The last error that a log tells, or else its last line."""
    lines = text.splitlines() or ["no word"]
    told = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (told or lines)[-1]
