"""`mnist-diffusion repro`: what `dvc repro` does, with independent stages on workers.

Each stage is a `dvc repro --single-item` in a copy of the project. Its outs and its entry of
dvc.lock come home, and a plain `dvc repro` has the last word: what it finds out of date, it reruns.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_diffusion.distribution.bundle import Bundle, Exchange, archive
from mnist_diffusion.distribution.pace import say
from mnist_diffusion.distribution.plan import Plan, open_repo, plan
from mnist_diffusion.files import paths
from mnist_diffusion.files.atomic import write_atomically
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.runtime.parent_watch import SECONDS_TO_END, interrupt_with_parent
from mnist_diffusion.runtime.threads import cores
from mnist_diffusion.settings import load_settings

if TYPE_CHECKING:
    from mnist_diffusion.distribution.engine import Engine

TOLD_TO_OTHERS = ("url", "endpointurl", "region", "account_name", "projectname")
"""Of a remote's settings; its passwords and keys stay here, and each host has its own."""
UP_TO_DATE = "Data and pipelines are up to date."


@dataclass(frozen=True)
class Wishes:
    """How the user wants it done."""

    jobs: int | None = None
    """Stages at a time, in this process; None: a core each, or a GPU each. 1: by plain DVC."""
    cluster: str | None = None
    """The scheduler of a cluster: its address or its file."""
    mixed: bool = False
    """Take workers that round in several ways."""
    keep_going: bool = False
    """After a failure, do what does not come of it."""
    compute: str | None = None
    """That section of params.yaml as JSON; None: nothing is computed, and no numerics matter."""
    tracked: bool = False
    """Whether MLflow is to have what comes home."""


def repro(jobs: int | None, cluster: str | None, mixed: bool, keep_going: bool) -> None:
    """Bring everything up to date; UserError if a stage fails, or cannot be run."""
    if jobs:
        require_cores(jobs, cores())
    if jobs and cluster:
        raise UserError("--jobs: a cluster has the jobs that its workers have; leave it out")
    compute = load_settings().compute.model_dump_json()
    reproduce(Wishes(jobs, cluster, mixed, keep_going, compute, tracked=True))


def require_cores(jobs: int, there: int) -> None:
    """UserError for more jobs than cores: that is slower than fewer."""
    if jobs > there:
        raise UserError(f"--jobs: {jobs}, and {there} cores here; give --jobs {there} or less")


def reproduce(wishes: Wishes) -> None:
    """The same for the DVC project that is the current folder, whatever its stages are."""
    if wishes.jobs == 1:
        _dvc("repro")
        return
    with _opened() as repo:
        todo = _after_what_runs_here(repo)
        if not todo.due:
            say(UP_TO_DATE)
            return
        if todo.away:
            _require_dvc(partial(_distribute, todo, wishes))
    _dvc("repro", quietly=True)


@contextmanager
def _opened() -> Iterator[Any]:
    repo = open_repo()
    try:
        yield repo
    finally:
        repo.close()


def _after_what_runs_here(repo: Any) -> Plan:
    """The plan, once the stages have run that cannot run elsewhere."""
    todo = plan(repo)
    here = todo.first_here()
    if not here:
        return todo
    _dvc("repro", "--single-item", *here)
    return plan(repo)


def _seats(wishes: Wishes, todo: Plan) -> Sequence[Any]:
    """How this host is shared out: as many stages as were asked for, or a core or a GPU each."""
    from mnist_diffusion.distribution import passport, worker

    needs = [todo.needs(address) for address in todo.away]
    most = {name: int(max([1, *(n.get(name, 1) for n in needs)])) for name in ("gpus", "cores")}
    gpus = int(passport.numerics(wishes.compute)["gpus"]) if wishes.compute else 0
    if gpus:
        return worker.seats(worker.visible_gpus()[:gpus], most["gpus"], None)[: wishes.jobs]
    jobs = min(wishes.jobs or cores(), cores() // most["cores"])
    return worker.seats((), 0, cores() // max(1, jobs))[:jobs]


def _require_dvc(work: Callable[[], None]) -> None:
    """Do what asks much of DVC; UserError for what it refuses."""
    from dvc.exceptions import DvcException

    try:
        work()
    except DvcException as error:
        cause = " ".join(str(error).split())
        raise UserError(f"dvc: {cause}; mend that, and run this again") from None


def _distribute(todo: Plan, wishes: Wishes) -> None:
    """Run what can run on workers there, and bring it home; nothing where there is but one."""
    from mnist_diffusion.distribution import engine as engines
    from mnist_diffusion.distribution.dispatch import Dispatch
    from mnist_diffusion.distribution.home import Home
    from mnist_diffusion.distribution.security import address_of

    seats = None if wishes.cluster else _seats(wishes, todo)
    if seats is not None and len(seats) == 1:
        return
    outs = [out.def_path for stage in todo.stages.values() for out in stage.outs]
    with (
        engines.embedded(seats, str(paths.WORK.resolve() / "dask"))
        if seats
        else engines.joined(address_of(wishes.cluster or ""))
    ) as engine:
        terms = None if seats else engines.agree(engine.client, wishes.compute, wishes.mixed)
        engine.require_resources({address: todo.needs(address) for address in todo.away})
        exchange = _within_here(todo) if seats else _between_hosts(todo, engine)
        home = Home(todo, exchange)
        home.offer()
        engine.deliver(Bundle(archive(outs), exchange), terms)
        say(f"{len(todo.away)} stages, {engine.workers()} at a time; logs in {paths.WORK / 'logs'}")
        Dispatch(todo, home, engine, wishes.keep_going).run(_viewer(wishes.tracked))


def _within_here(todo: Plan) -> Exchange:
    return Exchange(cache=str(todo.repo.cache.legacy.path), work=str(paths.WORK.resolve()))


def _between_hosts(todo: Plan, engine: Engine) -> Exchange:
    """By this project's cache, if all workers see it, or else by DVC's default remote."""
    from mnist_diffusion.distribution.engine import see_cache

    cache = Path(todo.repo.cache.legacy.path)
    mark = cache / "mark"
    if not mark.exists():
        write_atomically(mark, uuid.uuid4().hex)
    shared = Exchange(str(cache), mark.read_text(encoding="utf-8"))
    if see_cache(engine.client, shared):
        return shared
    name = todo.repo.config["core"].get("remote")
    if not name:
        raise UserError(
            f"{cache}: not all workers see it, and DVC has no default remote; "
            "put the project on a shared disk, or `dvc remote add -d NAME URL`"
        )
    options = todo.repo.config["remote"][name]
    told = {key: str(options[key]) for key in TOLD_TO_OTHERS if key in options}
    return Exchange(remote={"name": name, **told})


def _viewer(tracked: bool) -> Callable[[], None]:
    """Makes MLflow complete from what is home, beside all else; the stage `report` does so last."""
    running: list[subprocess.Popen[bytes]] = []

    def view() -> None:
        if tracked and not (running and running[-1].poll() is None):
            running[:] = [_view()]

    return view


def _view() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "mnist_diffusion", "track"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def _dvc(*words: str, quietly: bool = False) -> None:
    """DVC, in a group of its own, until it ends; UserError if it fails.

    Quietly, it does not tell of each stage that it did not change.
    """
    here = str(Path(sys.executable).parent)
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(os.getpid()), *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if quietly else None,
        start_new_session=True,
        env=os.environ | {"PATH": os.pathsep.join([here, os.environ.get("PATH", os.defpath)])},
    )
    try:
        for line in process.stdout or ():
            if line.strip() and not line.rstrip().endswith(b"didn't change, skipping"):
                sys.stdout.buffer.write(line)
                sys.stdout.buffer.flush()
        if process.wait():
            raise UserError("dvc repro: failed; mend what it tells above, and run this again")
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Interrupt it if it still runs, as Ctrl-C would; if it does not listen, kill it."""
    for number in (signal.SIGINT, signal.SIGKILL):
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(SECONDS_TO_END)


def _as_child(parent: int, words: list[str]) -> int:
    """DVC in this process, which ends with its parent."""
    from dvc.cli import main

    # What is started in the background is deaf to interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    interrupt_with_parent(parent)
    return int(main(words))


if __name__ == "__main__":
    raise SystemExit(_as_child(int(sys.argv[1]), sys.argv[2:]))
