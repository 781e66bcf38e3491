"""`mnist-diffusion repro`: what `dvc repro` does, with independent stages on workers.

Each stage is a `dvc repro --single-item` in a copy of the project. Its outs and its entry of
dvc.lock come home, and a plain `dvc repro` has the last word: what it finds out of date, it reruns.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from mnist_diffusion.distribution.bundle import NO_GIT, Bundle, Exchange, archive
from mnist_diffusion.distribution.plan import Plan, plan
from mnist_diffusion.files import paths
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.runtime.parent_watch import SECONDS_TO_END, interrupt_with_parent
from mnist_diffusion.runtime.threads import cores
from mnist_diffusion.settings import load_settings

if TYPE_CHECKING:
    from mnist_diffusion.distribution.engine import Engine
    from mnist_diffusion.distribution.workplace import Slot

TOLD_TO_OTHERS = ("url", "endpointurl", "region", "account_name", "projectname")
"""Of a remote's settings; its passwords and keys stay here, and each host has its own."""


@dataclass(frozen=True)
class Wishes:
    """How the user wants it done."""

    jobs: int | None = None
    """Stages at a time, in this process; None: a core each, or a GPU each. 1: by plain DVC."""
    cluster: str | None = None
    """The scheduler of a cluster: its address or its file."""
    mixed: bool = False
    """Take workers that round in several ways."""
    compute: str | None = None
    """That section of params.yaml as JSON; None: nothing is computed, and no numerics matter."""
    gpus: bool = False
    """Whether stages use the GPUs that there are."""
    tracked: bool = False
    """Whether MLflow is to have what comes home."""


def repro(jobs: int | None, cluster: str | None, mixed: bool) -> None:
    """Bring everything up to date; UserError if a stage fails, or cannot be run."""
    if jobs:
        require_cores(jobs, cores())
    if jobs and cluster:
        raise UserError("--jobs: a cluster has the jobs that its workers have; leave it out")
    compute = load_settings().compute
    gpus = compute.device in ("auto", "cuda")
    reproduce(Wishes(jobs, cluster, mixed, compute.model_dump_json(), gpus, tracked=True))


def require_cores(jobs: int, there: int) -> None:
    """UserError for more jobs than cores: that is slower than fewer."""
    if jobs > there:
        raise UserError(f"--jobs: {jobs}, and {there} cores here; give --jobs {there} or less")


def reproduce(wishes: Wishes) -> None:
    """The same for the DVC project that is the current folder, whatever its stages are."""
    if wishes.jobs == 1:
        _dvc("repro")
        return
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.scm import SCMError

    try:
        with Repo() as repo:
            todo = plan(repo)
            if here := todo.first_here():
                _dvc("repro", "--single-item", *here)
                todo = plan(repo)
            if not todo.due:
                typer.echo("Data and pipelines are up to date.")
                return
            if todo.away:
                _distribute(todo, wishes)
    except SCMError:
        raise UserError(NO_GIT) from None
    except DvcException as error:
        cause = " ".join(str(error).split())
        raise UserError(f"dvc: {cause}; mend that, and run this again") from None
    _dvc("repro", quietly=True)


def _distribute(todo: Plan, wishes: Wishes) -> None:
    """Run what can run on workers there, and bring it home; nothing where there is but one."""
    from mnist_diffusion.distribution import engine as engines
    from mnist_diffusion.distribution.compatibility import require_same_workers
    from mnist_diffusion.distribution.security import address_of

    if wishes.cluster:
        compute = None if wishes.mixed else wishes.compute
        with engines.joined(address_of(wishes.cluster)) as engine:
            expected = require_same_workers(engine.client, compute)
            exchange = _between_hosts(todo, engine)
            _run_on(engine, todo, exchange, wishes.tracked, expected=expected, compute=compute)
    elif len(slots := _slots(wishes, todo)) > 1:
        with engines.embedded(slots, paths.WORK.resolve() / "dask") as engine:
            exchange = Exchange(str(todo.repo.cache.legacy.path), work=str(paths.WORK.resolve()))
            _run_on(engine, todo, exchange, wishes.tracked)


def _run_on(engine: Engine, todo: Plan, exchange: Exchange, tracked: bool, **terms: Any) -> None:
    """Run all that can run away from here; `terms` are those of the delivery to workers."""
    from mnist_diffusion.distribution.dispatch import Dispatch
    from mnist_diffusion.distribution.home import Home
    from mnist_diffusion.distribution.worker import Delivery

    engine.require_resources({address: todo.needs(address) for address in todo.away})
    home = Home(todo, exchange)
    home.offer()
    outs = [out.def_path for stage in todo.stages.values() for out in stage.outs]
    engine.deliver(Delivery(Bundle(archive(outs), exchange), **terms))
    logs = paths.WORK / "logs"
    typer.echo(f"{len(todo.away)} stages, {engine.workers()} at a time; logs in {logs}")
    Dispatch(todo, home, engine).run(_Viewer() if tracked else lambda: None)


def _slots(wishes: Wishes, todo: Plan) -> Sequence[Slot]:
    """How this host is shared out: as many stages as were asked for, or a core or a GPU each."""
    from mnist_diffusion.distribution.worker import slots, visible_gpus

    needs = [todo.needs(address) for address in todo.away]
    gpus, threads = (int(max(n.get(name, 1) for n in needs)) for name in ("gpus", "cores"))
    if wishes.gpus and (there := visible_gpus()):
        return slots(there, gpus, None)[: wishes.jobs]
    jobs = max(1, min(wishes.jobs or cores(), cores() // threads))
    return slots((), 0, cores() // jobs)[:jobs]


def _between_hosts(todo: Plan, engine: Engine) -> Exchange:
    """By this project's cache, if all workers see it, or else by DVC's default remote."""
    cache = Path(todo.repo.cache.legacy.path)
    place = f"{os.uname().nodename}:{Path.cwd()}"
    project = f"{Path.cwd().name}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"
    if engine.all_see(cache):
        return Exchange(str(cache), project=project)
    name = todo.repo.config["core"].get("remote")
    if not name:
        raise UserError(
            f"{cache}: not all workers see it, and DVC has no default remote; "
            "put the project on a shared disk, or `dvc remote add -d NAME URL`"
        )
    options = todo.repo.config["remote"][name]
    told = {key: str(options[key]) for key in TOLD_TO_OTHERS if key in options}
    return Exchange(remote={"name": name, **told}, project=project)


class _Viewer:
    """Makes MLflow complete from what is home, beside all else; the stage `report` does so last."""

    def __init__(self) -> None:
        self._running: subprocess.Popen[bytes] | None = None

    def __call__(self) -> None:
        if self._running is None or self._running.poll() is not None:
            command = [sys.executable, "-m", "mnist_diffusion", "track"]
            nothing = subprocess.DEVNULL
            self._running = subprocess.Popen(command, stdin=nothing, stdout=nothing)


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
                typer.echo(line, nl=False)
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
