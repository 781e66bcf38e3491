"""A worker's copy of the project, in which stages run one at a time."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from mnist_diffusion.distribution import errand
from mnist_diffusion.distribution.bundle import COPY, RANKS, Exchange, Result, Task
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


def perform(
    content: bytes,
    exchange: Exchange,
    task: Task,
    slot: Slot,
    folder: Path,
    wanted: Callable[[], bool],
) -> Result:
    """Run a stage in a folder that is this worker's; what fails is told in the result.

    The folder is made from the archive if it is not there. All is ended, and the result is of no
    use, as soon as it is not `wanted` any more. ChildProcessError if its process was killed: it may
    be tried again, and goes on where it was.
    """
    begun = time.monotonic()
    try:
        if not folder.exists():
            _unpack(content, exchange, folder)
        (folder / errand.RESULT).unlink(missing_ok=True)
        cache = exchange.cache or str(scratch() / "cache")
        errand.write_order(folder, task, replace(exchange, cache=cache))
        log = folder / log_of(task.address)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as said:
            code = _attend(_start(folder, slot, task.gpus, said.fileno()), wanted)
        told = {} if code else read_json(folder / errand.RESULT)
        text = log.read_text(encoding="utf-8", errors="replace")[-LOG_CHARACTERS:]
    except UserError as error:
        return Result(task.address, failure=str(error))
    except OSError as error:
        return Result(task.address, failure=describe_os_error(error))
    if code == -signal.SIGKILL:
        raise ChildProcessError("was killed; give it more memory, or look for who did")
    failure = f"{task.address}: {_last_error(text)}" if code else ""
    seconds = time.monotonic() - begun
    log_text = "" if exchange.work else text
    return Result(task.address, told.get("entry"), told.get("timing"), seconds, failure, log_text)


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


def _start(folder: Path, slot: Slot, gpus: int, log: int) -> subprocess.Popen[bytes]:
    """The process for a stage, which ends when its stdin closes."""
    first = {"PATH": Path(sys.executable).parent, "PYTHONPATH": folder / "src"}
    environment = os.environ | {
        name: os.pathsep.join(filter(None, [str(place), os.environ.get(name)]))
        for name, place in first.items()
    }
    environment |= {COPY: "1", VARIABLE: str(slot.threads), RANKS: str(max(1, gpus))}
    environment.pop("DVC_ROOT", None)
    if slot.gpus is not None:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(slot.gpus)
    return subprocess.Popen(
        [sys.executable, "-m", errand.__name__],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        start_new_session=True,
        env=environment,
    )


def _attend(process: subprocess.Popen[bytes], wanted: Callable[[], bool]) -> int:
    """Wait for the end of an errand, or end it; nothing of its group is left afterwards."""
    try:
        while wanted():
            with suppress(subprocess.TimeoutExpired):
                return process.wait(SECONDS_BETWEEN_LOOKS)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    return process.returncode


def _last_error(text: str) -> str:
    """The last error that a log tells, or else its last line."""
    lines = text.splitlines() or ["no word"]
    told = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (told or lines)[-1]
