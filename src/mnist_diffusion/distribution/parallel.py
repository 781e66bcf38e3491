"""Stages that do not depend on each other, side by side: `dvc repro` itself runs one at a time.

Each is a `dvc repro --single-item` of its own, which is safe once all it depends on is up to date;
which stages there are, and what they wait for, is DVC's own graph.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from graphlib import TopologicalSorter
from pathlib import Path
from typing import IO

from mnist_diffusion.files import paths
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.runtime.parent_watch import SECONDS_TO_END, interrupt_with_parent
from mnist_diffusion.runtime.threads import VARIABLE, cores
from mnist_diffusion.settings import load_settings

LOGS = paths.WORK / "parallel"
"""What each stage said, by its address."""
NO_GIT = (
    "dvc.yaml: DVC needs git, and this folder is not a git repository; "
    "run `git init && git add -A && git commit -m start`"
)
FIRST = "code"
"""All comes of it, and most of that turns out to be as it was, once it has run."""
SECONDS_BETWEEN_LOOKS = 0.1
Processes = dict[str, subprocess.Popen[bytes]]


def parallel(jobs: int | None = None) -> None:
    """Bring everything up to date with so many stages at a time; UserError if one fails.

    Unless told, as many as there are cores; one where a GPU does the work.
    """
    if jobs:
        require_cores(jobs, cores())
    reproduce(jobs)


def _usual_jobs() -> int:
    from mnist_diffusion.runtime.compute import configure  # here, since torch takes a second

    return cores() if configure(load_settings().compute).type == "cpu" else 1


def require_cores(jobs: int, there: int) -> None:
    """UserError for more jobs than cores: that is slower than fewer."""
    if jobs > there:
        raise UserError(f"--jobs: {jobs}, and {there} cores here; give --jobs {there} or less")


def reproduce(jobs: int | None) -> None:
    """The same for the DVC project that is the current folder, whatever its stages are."""
    running: Processes = {}
    try:
        if jobs != 1:
            waiting = plan()
            if FIRST in waiting:
                _side_by_side({FIRST: set()}, 1, running)
                waiting = plan()
            if not waiting:
                _say("Data and pipelines are up to date.")
                return
            jobs = jobs or _usual_jobs()
            if jobs > 1:
                _side_by_side(waiting, jobs, running)
        running["all"] = _dvc("repro")
        if running["all"].wait():
            raise UserError("dvc repro: failed; mend what it tells above, and run this again")
    finally:
        _stop(running.values())


def plan() -> dict[str, set[str]]:
    """What is out of date, or comes of what is: addresses, and which of them each waits for."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.scm import SCMError

    try:
        with Repo() as repo:
            changed, graph = set(repo.status()), repo.index.graph
    except SCMError:
        raise UserError(NO_GIT) from None
    except DvcException as error:
        cause = " ".join(str(error).split())
        raise UserError(f"dvc.yaml: DVC cannot tell what is out of date: {cause}") from None
    sources = {stage: list(graph.successors(stage)) for stage in graph}
    found: dict[str, set[str]] = {}
    for stage in TopologicalSorter(sources).static_order():
        waits_for = {source.addressing for source in sources[stage]} & found.keys()
        if waits_for or stage.addressing in changed:
            found[stage.addressing] = waits_for
    return found


def _side_by_side(waiting: Mapping[str, set[str]], jobs: int, running: Processes) -> None:
    """Start each stage as soon as there is a place, and all that it waits for is done."""
    order = TopologicalSorter(waiting)
    order.prepare()
    _say(f"{len(waiting)} stages, {jobs} at a time; what they say is in {LOGS}")
    ready: list[str] = []
    done = 0
    while order.is_active():
        ready += order.get_ready()
        while ready and len(running) < jobs:
            address = ready.pop(0)
            running[address] = _start(address, max(1, cores() // jobs))
        ended = _first_to_end(running)
        _require_success(ended, running.pop(ended).returncode)
        order.done(ended)
        done += 1
        _say(f"{ended}: done, {done} of {len(waiting)}")


def _start(address: str, threads: int) -> subprocess.Popen[bytes]:
    _say(f"{address}: started")
    LOGS.mkdir(parents=True, exist_ok=True)
    with _log(address).open("wb") as log:
        words = ("--wait-for-lock", "repro", "--single-item", address)
        return _dvc(*words, log=log, threads=threads)


def _dvc(
    *words: str, log: IO[bytes] | None = None, threads: int | None = None
) -> subprocess.Popen[bytes]:
    """DVC, in a group of its own, which can be interrupted without what else runs."""
    here = str(Path(sys.executable).parent)
    environment = dict(os.environ) | ({VARIABLE: str(threads)} if threads else {})
    return subprocess.Popen(
        [sys.executable, "-m", "mnist_diffusion.distribution.parallel", str(os.getpid()), *words],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT if log else None,
        start_new_session=True,
        env=environment | {"PATH": os.pathsep.join([here, os.environ.get("PATH", os.defpath)])},
    )


def _first_to_end(running: Processes) -> str:
    while True:
        for address, process in running.items():
            if process.poll() is not None:
                return address
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _require_success(address: str, code: int) -> None:
    if code == 0:
        return
    lines = _log(address).read_text(encoding="utf-8", errors="replace").splitlines() or ["no word"]
    told = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    raise UserError(f"{address}: {(told or lines)[-1]}; {_log(address)} has all that it said")


def _stop(processes: Collection[subprocess.Popen[bytes]]) -> None:
    """Interrupt what still runs, as Ctrl-C would, and wait; what does not listen is killed."""
    for number in (signal.SIGINT, signal.SIGKILL):
        for process in processes:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(SECONDS_TO_END)


def _log(address: str) -> Path:
    return LOGS / f"{address.replace('/', '-')}.log"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _as_child(parent: int, words: list[str]) -> int:
    """DVC in this process, which ends with its parent."""
    from dvc.cli import main

    # What is started in the background is deaf to interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    interrupt_with_parent(parent)
    return int(main(words))


if __name__ == "__main__":
    raise SystemExit(_as_child(int(sys.argv[1]), sys.argv[2:]))
