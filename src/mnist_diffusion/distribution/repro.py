"""`mnist-diffusion repro`: what `dvc repro` does, with independent stages on workers.

Each stage is a `dvc repro --single-item` in a copy of the project. Its outs and its entry of
dvc.lock come home, and a plain `dvc repro` has the last word: what it finds out of date, it reruns.
Workers are those of Dask, embedded in this process, or of a cluster that it joins.
"""

from __future__ import annotations

import logging
import os
import sys
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import typer
from distributed import Client, Scheduler, SpecCluster
from dvc.exceptions import DvcException
from dvc.scm import SCMError

from mnist_diffusion.distribution.bundle import NO_GIT, Exchange, archive
from mnist_diffusion.distribution.compatibility import require_same_workers
from mnist_diffusion.distribution.dispatch import Dispatch, Home
from mnist_diffusion.distribution.plan import Plan, plan
from mnist_diffusion.distribution.quick_dvc import open_repo
from mnist_diffusion.distribution.security import address_of, security
from mnist_diffusion.distribution.worker import (
    LOOPBACK,
    Delivery,
    StageWorker,
    configure,
    slots,
    unreachable,
    visible_gpus,
)
from mnist_diffusion.distribution.workplace import Slot
from mnist_diffusion.files import paths
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.runtime.threads import cores
from mnist_diffusion.settings import load_settings

TOLD_TO_OTHERS = ("url", "endpointurl", "region", "account_name", "projectname")
"""Of a remote's settings; its passwords and keys stay here, and each host has its own."""
SECONDS_FOR_WORKERS = 60.0
"""Which the first worker of a cluster may take to come."""


def repro(jobs: int | None, cluster: str | None, mixed: bool) -> None:
    """Bring everything up to date; UserError if a stage fails, or cannot be run."""
    if jobs:
        require_cores(jobs, cores())
    if jobs and cluster:
        raise UserError("--jobs: a cluster has the jobs that its workers have; leave it out")
    compute = load_settings().compute
    gpus = compute.device in ("auto", "cuda")
    reproduce(jobs, cluster, None if mixed else compute.model_dump_json(), gpus)


def require_cores(jobs: int, there: int) -> None:
    """UserError for more jobs than cores: that is slower than fewer."""
    if jobs > there:
        raise UserError(f"--jobs: {jobs}, and {there} cores here; give --jobs {there} or less")


def reproduce(
    jobs: int | None = None,
    cluster: str | None = None,
    compute: str | None = None,
    gpus: bool = False,
) -> None:
    """The same for the DVC project that is the current folder, whatever its stages are.

    `jobs` are stages at a time in this process; None: a core each, or a GPU each where `gpus` are
    used; 1: by plain DVC. `cluster` is a scheduler's address or its file. `compute` is that section
    of params.yaml as JSON, by which workers must round alike; None: they may differ.
    """
    commands = str(Path(sys.executable).parent)  # those of stages, also where no venv is active
    os.environ["PATH"] = os.pathsep.join([commands, os.environ.get("PATH", os.defpath)])
    try:
        with open_repo() as repo:
            if jobs == 1:
                _become_dvc()
            todo = plan(repo)
            if here := todo.first_here():
                _tell(repo.reproduce(here, single_item=True))
                todo = plan(repo)
            if todo.away and cluster:
                with _joined(address_of(cluster)) as client:
                    expected = require_same_workers(client, compute)
                    _run_on(client, todo, _between_hosts(todo, client), expected, compute)
            elif todo.away:
                _distribute(todo, jobs, gpus)
            if todo.due:
                _tell(repo.reproduce())
    except SCMError:
        raise UserError(NO_GIT) from None
    except DvcException as error:
        cause = " ".join(str(error.__cause__ or error).split())
        raise UserError(f"dvc repro: {cause}; mend that, and run this again") from None
    typer.echo("Data and pipelines are up to date.")


def _become_dvc() -> NoReturn:
    os.execv(sys.executable, [sys.executable, "-m", "dvc", "repro"])


def _tell(stages: Iterable[Any]) -> None:
    for stage in stages:
        typer.echo(f"{stage.addressing}: done here")


def _distribute(todo: Plan, jobs: int | None, gpus: bool) -> None:
    """Run what can run on workers in this process; by plain DVC where there is but one."""
    most = max(map(todo.gpus, todo.away))
    if gpus and (there := visible_gpus()):
        held = slots(there, max(1, most), None)[:jobs]
    else:
        held = slots((), 0, cores() // (jobs or cores()))[:jobs]
    if most < 2 and len(held) < 2:
        _become_dvc()
    work = paths.WORK.resolve()
    with _embedded(held, work / "copies") as client:
        _run_on(client, todo, Exchange(str(todo.repo.cache.legacy.path), work=str(work)))


@contextmanager
def _embedded(held: Sequence[Slot], local: Path) -> Iterator[Client]:
    """Workers in this process; nothing listens that another machine could reach."""
    configure(logging.CRITICAL)
    options = {"protocol": "inproc://", "dashboard": False, "dashboard_address": LOOPBACK}
    workers = {
        number: {"cls": StageWorker, "options": {"slot": slot, "local_directory": str(local)}}
        for number, slot in enumerate(held)
    }
    scheduler = {"cls": Scheduler, "options": options}
    with (
        SpecCluster(workers, scheduler, silence_logs=logging.CRITICAL) as cluster,
        Client(cluster) as client,
    ):
        yield client


@contextmanager
def _joined(address: str) -> Iterator[Client]:
    """The workers of a cluster; UserError if it does not answer, or has none."""
    configure(logging.CRITICAL)
    guard = security()
    try:
        client = Client(address, security=guard, timeout="10s")
    except OSError as error:
        raise UserError(unreachable(address, error)) from None
    with client:
        try:
            client.wait_for_workers(1, SECONDS_FOR_WORKERS)
        except TimeoutError:
            raise UserError(
                f"{address}: has no workers; start some by `mnist-diffusion worker {address}`"
            ) from None
        yield client


def _between_hosts(todo: Plan, client: Client) -> Exchange:
    """By this project's cache, if all workers see it, or else by DVC's default remote."""
    cache = Path(todo.repo.cache.legacy.path)
    if all_see(client, cache):
        return Exchange(str(cache))
    name = todo.repo.config["core"].get("remote")
    if not name:
        raise UserError(
            f"{cache}: not all workers see it, and DVC has no default remote; "
            "put the project on a shared disk, or `dvc remote add -d NAME URL`"
        )
    options = todo.repo.config["remote"][name]
    told = {key: str(options[key]) for key in TOLD_TO_OTHERS if key in options}
    return Exchange("", {"name": name, **told})


def all_see(client: Client, folder: Path) -> bool:
    """Whether all workers have this very folder, and not one of the same name."""
    mark = folder / f"seen-{uuid.uuid4().hex}"
    folder.mkdir(parents=True, exist_ok=True)
    mark.touch()
    try:
        return all(client.run(mark.exists).values())
    finally:
        mark.unlink()


def _run_on(client: Client, todo: Plan, exchange: Exchange, *terms: Any) -> None:
    """Run all that can run away from here; `terms` are those of the delivery to workers."""
    workers = client.scheduler_info()["workers"].values()
    there = int(max((worker["resources"]["gpus"] for worker in workers), default=0))
    for address in todo.away:
        if (gpus := todo.gpus(address)) > there:
            raise UserError(
                f"{address}: needs {gpus} GPUs, and no worker has more than {there}; "
                "start one with --gpus-per-worker, or ask for fewer in dvc.yaml"
            )
    home = Home(todo, exchange)
    home.offer()
    outs = [out.def_path for stage in todo.stages.values() for out in stage.outs]
    client.register_plugin(Delivery(archive(outs), exchange, *terms), name=client.id)
    typer.echo(f"{len(todo.away)} stages, {len(client.nthreads())} at a time; logs in .work/logs")
    Dispatch(todo, home, client).run()
