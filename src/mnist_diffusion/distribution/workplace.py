"""Copies of the project on one host, in which stages run one at a time."""

from __future__ import annotations

import fcntl
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from configobj import ConfigObj

from mnist_diffusion.distribution import errand
from mnist_diffusion.distribution.bundle import COPY, Bundle, Exchange, Result, Task
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.runtime.errors import UserError, describe_os_error
from mnist_diffusion.runtime.threads import VARIABLE

SCRATCH = "MNIST_DIFFUSION_SCRATCH"
"""The environment variable that names a host's folder for copies of projects."""
SECONDS_BETWEEN_LOOKS = 0.5
LOG_BYTES = 64 * 1024
BUSY, UNPACKED = ".busy", ".unpacked"


@dataclass(frozen=True)
class Slot:
    """What a stage has of its host while it runs."""

    threads: int
    gpus: Sequence[str] | None = None
    """As CUDA_VISIBLE_DEVICES names them; None: that stays as it is."""


def log_of(address: str) -> Path:
    """What a stage said, in a copy or in the project itself."""
    return paths.WORK / "logs" / f"{address}.log"


def perform(bundle: Bundle, task: Task, slot: Slot, wanted: Callable[[], bool]) -> Result:
    """Run a stage in a copy that is free; what fails is told in the result.

    All is ended, and the result is of no use, as soon as it is not `wanted` any more.
    ChildProcessError if its process was killed: it may be tried again, and goes on where it was.
    """
    begun = time.monotonic()
    try:
        with _free_copy(bundle, scratch(bundle.exchange)) as (folder, lock):
            (folder / errand.RESULT).unlink(missing_ok=True)
            errand.write_order(folder, task, bundle.exchange)
            log = folder / log_of(task.address)
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("wb") as said:
                code = _attend(_start(folder, slot, lock, said.fileno()), wanted)
            told = {} if code else read_json(folder / errand.RESULT)
            text = _tail(log)
    except UserError as error:
        return Result(task.address, failure=str(error))
    except OSError as error:
        return Result(task.address, failure=describe_os_error(error))
    if code == -signal.SIGKILL:
        raise ChildProcessError("was killed; give it more memory, or look for who did")
    failure = f"{task.address}: {_last_error(text)}" if code else ""
    seconds = time.monotonic() - begun
    log_text = "" if bundle.exchange.work else text
    return Result(task.address, told.get("entry"), told.get("timing"), seconds, failure, log_text)


def scratch(exchange: Exchange) -> Path:
    """Where copies are made: in .work, if that is for all, or else wherever this host says."""
    if exchange.work:
        return Path(exchange.work) / "copies"
    default = Path(tempfile.gettempdir()) / f"mnist-diffusion-{os.getuid()}"
    folder = Path(os.environ.get(SCRATCH) or default)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise UserError(f"{folder}: is another user's; set {SCRATCH} to a folder of yours")
    return folder.resolve()


@contextmanager
def _free_copy(bundle: Bundle, place: Path) -> Iterator[tuple[Path, int]]:
    """A copy that nobody is working in, and the descriptor of its lock.

    Whoever inherits that keeps the copy locked when this process dies.
    """
    for number in count():
        folder = place / f"copy{number}"
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / BUSY, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        try:
            _unpack(bundle, folder, place)
            yield folder, lock
        finally:
            os.close(lock)
        return


def _unpack(bundle: Bundle, folder: Path, place: Path) -> None:
    """Make the copy one of the bundle; nothing to do if it is.

    Files have the time of now: DVC and Python take a file of the same size and time for the same.
    """
    mark = folder / UNPACKED
    if mark.exists() and mark.read_text(encoding="utf-8") == bundle.digest:
        return
    for path in folder.iterdir():
        if path.name != BUSY:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    with tarfile.open(fileobj=io.BytesIO(bundle.content)) as tar:
        tar.extractall(folder, filter=_as_of_now)
    (folder / ".dvc").mkdir(exist_ok=True)
    config = ConfigObj(_config(bundle.exchange, place), list_values=False)
    with (folder / ".dvc/config.local").open("wb") as file:
        config.write(file)
    work = Path(bundle.exchange.work or place / "work" / bundle.exchange.project)
    work.mkdir(parents=True, exist_ok=True)
    (folder / paths.WORK).symlink_to(work)
    mark.write_text(bundle.digest, encoding="utf-8")


def _as_of_now(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo:
    return tarfile.data_filter(member, path).replace(mtime=time.time())


def _config(exchange: Exchange, place: Path) -> dict[str, dict[str, str]]:
    """DVC's settings of a copy: no git, and where its data is."""
    core = {"no_scm": "true", "analytics": "false", "check_update": "false"}
    cache = {"dir": exchange.cache or str(place / "cache"), "type": "reflink,hardlink,copy"}
    config = {"core": core, "cache": cache}
    if exchange.remote:
        options = dict(exchange.remote)
        core["remote"] = options.pop("name")
        config[f'remote "{core["remote"]}"'] = options
    return config


def _start(folder: Path, slot: Slot, lock: int, log: int) -> subprocess.Popen[bytes]:
    """The process for a stage, which holds the copy's lock and ends when its stdin closes."""
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
        [sys.executable, "-m", errand.__name__],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        start_new_session=True,
        pass_fds=(lock,),
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


def _tail(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_BYTES))
        return file.read().decode("utf-8", errors="replace")
