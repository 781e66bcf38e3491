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
from mnist_diffusion.distribution.bundle import Bundle, Exchange, Result, Task
from mnist_diffusion.distribution.variables import COPY, SCRATCH
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.runtime.errors import UserError, describe_os_error
from mnist_diffusion.runtime.threads import VARIABLE

LOGS = "logs"
"""Within .work: what each stage said, by its address."""
TRIES = 3
"""For a stage whose process is killed here, as by a system that is out of memory."""
SECONDS_BETWEEN_LOOKS = 0.5
LOG_BYTES = 64 * 1024
BUSY, LAID = ".busy", ".laid"


@dataclass(frozen=True)
class Seat:
    """What a stage has of its host while it runs."""

    threads: int
    gpus: Sequence[str] | None = None
    """As CUDA_VISIBLE_DEVICES names them; None: that stays as it is."""


def perform(bundle: Bundle, task: Task, seat: Seat, wanted: Callable[[], bool]) -> Result:
    """Run a stage in a copy that is free; what fails is told in the result.

    All is ended, and the result is of no use, as soon as it is not `wanted` any more.
    """
    begun = time.monotonic()
    try:
        with _free_copy(bundle, scratch(bundle.exchange)) as (folder, lock):
            log = folder / ".work" / LOGS / f"{task.address}.log"
            code = _run(task, bundle.exchange, folder, log, lock, seat, wanted)
            seconds = time.monotonic() - begun
            end = "" if bundle.exchange.work else _tail(log)
            if code:
                failure = _failure(task.address, code, log)
                return Result(task.address, seconds=seconds, failure=failure, log=end)
            told = read_json(folder / errand.RESULT)
    except UserError as error:
        return Result(task.address, failure=str(error))
    except OSError as error:
        return Result(task.address, failure=describe_os_error(error))
    return Result(task.address, told["entry"], told["timing"], seconds, log=end)


def scratch(exchange: Exchange) -> Path:
    """Where copies are laid: in .work, if that is for all, or else wherever this host says."""
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
            _lay(bundle, folder, place)
            yield folder, lock
        finally:
            os.close(lock)
        return


def _lay(bundle: Bundle, folder: Path, place: Path) -> None:
    """Make the copy one of the bundle; nothing to do if it is.

    Files have the time of now: DVC and Python take a file of the same size and time for the same.
    """
    laid = folder / LAID
    if laid.exists() and laid.read_text(encoding="utf-8") == bundle.digest:
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
    work = Path(bundle.exchange.work or place / "work")
    work.mkdir(parents=True, exist_ok=True)
    (folder / ".work").symlink_to(work)
    laid.write_text(bundle.digest, encoding="utf-8")


def _as_of_now(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo:
    return tarfile.data_filter(member, path).replace(mtime=time.time())


def _config(exchange: Exchange, place: Path) -> dict[str, dict[str, str]]:
    """DVC's settings of a copy: no git, and where its data is."""
    core = {"no_scm": "true", "analytics": "false", "check_update": "false"}
    cache = {"dir": exchange.cache or str(place / "cache"), "type": "reflink,hardlink,copy"}
    config = {"core": core, "cache": cache}
    if exchange.cache is None and exchange.remote:
        options = dict(exchange.remote)
        core["remote"] = options.pop("name")
        config[f'remote "{core["remote"]}"'] = options
    return config


def _run(
    task: Task,
    exchange: Exchange,
    folder: Path,
    log: Path,
    lock: int,
    seat: Seat,
    wanted: Callable[[], bool],
) -> int:
    """The errand's exit code; one that was killed is sent again, and goes on where it was."""
    log.parent.mkdir(parents=True, exist_ok=True)
    code = 0
    for _ in range(TRIES):
        (folder / errand.RESULT).unlink(missing_ok=True)
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", errand.__name__],
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(lock,),
                env=_environment(folder, seat),
            )
            code = _attend(process, errand.letter(task, exchange), wanted)
        if code != -signal.SIGKILL or not wanted():
            break
    return code


def _attend(process: subprocess.Popen[bytes], letter: bytes, wanted: Callable[[], bool]) -> int:
    """Wait for the end of an errand, or end it; nothing of its group is left afterwards."""
    assert process.stdin
    try:
        with suppress(BrokenPipeError):
            process.stdin.write(letter)
            process.stdin.flush()
        while wanted():
            with suppress(subprocess.TimeoutExpired):
                return process.wait(SECONDS_BETWEEN_LOOKS)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        with suppress(BrokenPipeError):
            process.stdin.close()
    return process.returncode


def _environment(folder: Path, seat: Seat) -> dict[str, str]:
    def before(first: object, variable: str) -> str:
        return os.pathsep.join(filter(None, [str(first), os.environ.get(variable)]))

    environment = dict(os.environ) | {
        COPY: "1",
        VARIABLE: str(seat.threads),
        "PATH": before(Path(sys.executable).parent, "PATH"),
        "PYTHONPATH": before(folder / "src", "PYTHONPATH"),
    }
    environment.pop("DVC_ROOT", None)
    if seat.gpus is not None:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(seat.gpus)
    return environment


def _failure(address: str, code: int, log: Path) -> str:
    """The last error that the log tells, or else its last line."""
    lines = _tail(log).splitlines() or ["no word"]
    told = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    if code < 0 and not told:
        name = signal.Signals(-code).name
        return f"{address}: killed {TRIES} times ({name}); give it more memory"
    return f"{address}: {(told or lines)[-1]}"


def _tail(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_BYTES))
        return file.read().decode("utf-8", errors="replace")
