"""Workers: each runs one stage at a time, and gives it all the cores and GPUs that it holds."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import uuid
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import typer
from distributed import Scheduler, Security, Status, Worker, get_worker
from distributed.comm.core import connect
from distributed.diagnostics.plugin import SchedulerPlugin, WorkerPlugin

from mnist_diffusion.distribution.bundle import Exchange, Result, Task
from mnist_diffusion.distribution.compatibility import facts, require_same
from mnist_diffusion.distribution.security import address_of, security
from mnist_diffusion.distribution.workplace import Slot, Workplace, scratch
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.runtime.threads import cores

LOOPBACK = "127.0.0.1:0"
DASHBOARD = "127.0.0.1:8787"
"""Of a scheduler, where bokeh is installed: `ssh -L 8787:localhost:8787` shows it elsewhere."""
SECONDS_FOR_SCHEDULER = 60.0
"""Which it may take to answer workers that were started beside it."""
SETTINGS = {
    "distributed.scheduler.worker-ttl": "2 minutes",
    "distributed.scheduler.http.routes": ["distributed.http.health"],
    "distributed.worker.http.routes": ["distributed.http.health"],
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.admin.tick.interval": "1s",
    "distributed.comm.timeouts.connect": "10s",
}
"""Stages are minutes of work in other processes: nothing is to be profiled or measured."""


class StageWorker(Worker):
    """A Dask worker that holds some threads and GPUs."""

    def __init__(self, *arguments: Any, slot: Slot, **options: Any):
        self.slot = slot
        super().__init__(
            *arguments,
            nthreads=1,
            memory_limit=0,
            resources={"gpus": len(slot.gpus or ())},
            dashboard=False,
            dashboard_address=LOOPBACK,
            **options,
        )


@dataclass(eq=False)
class Delivery(WorkerPlugin):
    """The project, for every worker that there is or will be."""

    content: bytes
    exchange: Exchange
    expected: Mapping[str, str] | None = None
    """What a worker must have in common with the others; None: it is of this very process."""
    compute: str | None = None
    """That section of params.yaml as JSON, where numerics matter."""

    def setup(self, worker: Worker) -> None:
        """A worker that comes late and is not like the others closes."""
        assert isinstance(worker, StageWorker)
        folder = Path(worker.local_directory, "copies", uuid.uuid4().hex[:8])
        self.place = Workplace(self.content, self.exchange, worker.slot, folder)
        try:
            if self.expected is not None:
                require_same(worker.address, self.expected, facts(self.compute))
        except UserError as error:
            typer.echo(f"error: {error}", err=True)
            worker.loop.add_callback(worker.close)

    def teardown(self, worker: Worker) -> None:
        """The run has ended, or the worker."""
        self.place.close()


class Recall(SchedulerPlugin):
    """With a head, however it ends, its delivery is gone; none to come is held against that."""

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """A delivery has the name of its head."""
        if client in scheduler.worker_plugins:
            scheduler.loop.add_callback(scheduler.unregister_worker_plugin, None, client)


def run_stage(task: Task, run: str) -> Result:
    """What Dask runs on a worker, in the copy that the worker has of that run's project."""
    worker = get_worker()
    key = worker.get_current_task()

    def is_wanted() -> bool:
        state = worker.state.tasks.get(key)
        return worker.status == Status.running and state is not None and state.state == "executing"

    made = worker.plugins[run]
    assert isinstance(made, Delivery)
    return made.place.perform(task, is_wanted)


def slots(gpus: Sequence[str], gpus_each: int, cores_each: int | None) -> list[Slot]:
    """How a host is shared out among workers: by GPUs, where there are any, or else by cores."""
    if not (gpus and gpus_each):
        each = cores_each or 1
        return [Slot(each)] * (cores() // each)
    workers = len(gpus) // gpus_each
    threads = cores_each or max(1, cores() // max(1, workers))
    firsts = range(0, workers * gpus_each, gpus_each)
    return [Slot(threads, gpus[first : first + gpus_each]) for first in firsts]


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    said = os.environ.get("CUDA_VISIBLE_DEVICES")
    if said is not None:
        return [name for name in said.split(",") if name not in ("", "-1")]
    return [str(number) for number, _ in enumerate(Path("/proc/driver/nvidia/gpus").glob("*"))]


def work(scheduler: str, gpus_each: int, cores_each: int | None) -> None:
    """Be the workers of this host until the scheduler ends; UserError if it cannot be reached."""
    gpus = visible_gpus()
    held = slots(gpus, gpus_each, cores_each)
    if not held:
        there = f"{len(gpus)} GPUs and {cores()} cores"
        raise UserError(f"--gpus-per-worker, --cores: this host has {there}; give no more")
    configure(logging.WARNING)
    asyncio.run(_work(address_of(scheduler), held, scratch()))


async def _work(address: str, held: Sequence[Slot], scratch: Path) -> None:
    guard = security()
    await _require_answer(address, guard)
    workers = [
        StageWorker(
            address,
            slot=slot,
            name=f"{os.uname().nodename}-{os.getpid()}-{number}",
            security=guard,
            local_directory=str(scratch),
        )
        for number, slot in enumerate(held)
    ]
    await asyncio.gather(*workers)
    typer.echo(f"{len(workers)} workers at {address}; copies of projects in {scratch}")
    await _until_ended(asyncio.gather(*map(StageWorker.finished, workers)))
    await asyncio.gather(*(worker.close() for worker in workers), return_exceptions=True)


async def _require_answer(address: str, guard: Security) -> None:
    """UserError if a scheduler does not answer: a worker would wait for it for ever."""
    options = guard.get_connection_args("worker")
    try:
        comm = await connect(address, timeout=SECONDS_FOR_SCHEDULER, **options)
    except OSError as error:
        raise UserError(unreachable(address, error)) from None
    await comm.close()


def schedule(file: Path | None, host: str | None, port: int) -> None:
    """Be the scheduler until this process is told to end."""
    configure(logging.WARNING)
    asyncio.run(_schedule(file, host, port))


async def _schedule(file: Path | None, host: str | None, port: int) -> None:
    scheduler = Scheduler(
        host=host,
        port=port,
        protocol="tls://",
        security=security(),
        scheduler_file=str(file) if file else None,
        dashboard_address=DASHBOARD,
        plugins=[Recall()],
    )
    try:
        async with scheduler:
            typer.echo(f"scheduler at {scheduler.address}")
            await _until_ended(scheduler.finished())
    except OSError as error:
        raise UserError(f"--port: {port} cannot be listened at ({error}); give another") from None


def configure(level: int) -> None:
    """Set Dask to work with stages, and to say no less than what is of this level."""
    dask.config.set(SETTINGS)
    warnings.filterwarnings("ignore", "Creating scratch directories")  # slow, on a busy machine
    for name in ("distributed", "distributed.client"):  # which Dask gives a level of its own
        logging.getLogger(name).setLevel(level)


def unreachable(address: str, error: BaseException) -> str:
    """Why a scheduler cannot be spoken to."""
    told = f"{error} {error.__cause__} {error.__context__}".lower()
    if any(word in told for word in ("certificate", "ssl", "tls alert")):
        return (
            f"{address}: has another certificate than this machine, or an expired one; "
            "copy one folder to all"
        )
    return f"{address}: no scheduler answers there; start one by `mnist-diffusion scheduler`"


async def _until_ended(event: Any) -> None:
    """Return when something has ended, or this process is told to end."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    waiting = [asyncio.ensure_future(event), asyncio.ensure_future(stopped.wait())]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
