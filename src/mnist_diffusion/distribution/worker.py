"""Workers: each runs one stage at a time, and gives it all the cores and GPUs that it holds."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
from distributed import Scheduler, Security, Status, Worker, get_worker
from distributed.comm.core import connect
from distributed.diagnostics.plugin import WorkerPlugin

from mnist_diffusion.distribution import passport, workplace
from mnist_diffusion.distribution.bundle import Bundle, Exchange, Result, Task
from mnist_diffusion.distribution.security import address_of, security
from mnist_diffusion.distribution.workplace import Seat
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.runtime.threads import cores

LOOPBACK = "127.0.0.1:0"
DASHBOARD = "127.0.0.1:8787"
"""Of a scheduler, where bokeh is installed: `ssh -L 8787:localhost:8787` shows it elsewhere."""
SECONDS_FOR_SCHEDULER = 60.0
"""Which it may take to answer workers that were started beside it."""
SETTINGS = {
    "distributed.scheduler.allowed-failures": 3,
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.scheduler.worker-ttl": "2 minutes",
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.scheduler.http.routes": ["distributed.http.health"],
    "distributed.worker.http.routes": ["distributed.http.health"],
    "distributed.worker.profile.enabled": False,
    "distributed.diagnostics.nvml": False,
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.admin.tick.interval": "1s",
    "distributed.comm.timeouts.connect": "10s",
}
"""Stages are minutes of work in other processes: nothing is to be profiled, measured or moved."""


class StageWorker(Worker):
    """A Dask worker that holds some threads and GPUs."""

    def __init__(self, *arguments: Any, seat: Seat, **options: Any):
        self.seat = seat
        resources: dict[str, float] = {"cores": seat.threads, "gpus": len(seat.gpus or ())}
        super().__init__(
            *arguments,
            nthreads=1,
            memory_limit=0,
            resources=resources,
            dashboard=False,
            dashboard_address=LOOPBACK,
            **options,
        )


@dataclass(frozen=True)
class Terms:
    """What a worker must have in common with the others to be given stages."""

    passport: passport.Passport
    compute: str | None = None
    """That section of params.yaml as JSON, where numerics matter."""
    numerics: Mapping[str, str] | None = None

    def require(self, worker: str) -> None:
        """UserError if this process, a worker's, has it not."""
        self.passport.require(worker, passport.passport())
        if self.compute and self.numerics:
            mine = passport.numerics(self.compute)
            passport.require_numerics(worker, mine, "the others", self.numerics)


class Delivery(WorkerPlugin):
    """The bundle, for every worker that there is or will be."""

    def __init__(self, bundle: Bundle, terms: Terms | None):
        self.bundle, self._terms = bundle, terms

    def setup(self, worker: Worker) -> None:
        """A worker that comes late and is not like the others closes."""
        try:
            if self._terms:
                self._terms.require(worker.address)
        except UserError as error:
            sys.stderr.write(f"error: {error}\n")
            worker.loop.add_callback(worker.close)


def run_stage(task: Task, delivery: str) -> Result:
    """What Dask runs on a worker."""
    worker = get_worker()
    assert isinstance(worker, StageWorker)
    plugin = worker.plugins[delivery]
    assert isinstance(plugin, Delivery)
    key = worker.get_current_task()

    def is_wanted() -> bool:
        state = worker.state.tasks.get(key)
        return worker.status == Status.running and state is not None and state.state == "executing"

    return workplace.perform(plugin.bundle, task, worker.seat, is_wanted)


def sees(exchange: Exchange) -> bool:
    """Whether this host has the cache that is meant to be shared."""
    mark = Path(exchange.cache or "") / "mark"
    return mark.is_file() and mark.read_text(encoding="utf-8") == exchange.mark


def numerics(compute: str) -> dict[str, str]:
    """Those of this host; an `error` instead, where it has not what is asked for."""
    try:
        return passport.numerics(compute)
    except UserError as error:
        return {"error": str(error)}


def seats(gpus: Sequence[str], gpus_each: int, cores_each: int | None) -> list[Seat]:
    """How a host is shared out among workers: by GPUs, where there are any, or else by cores."""
    if gpus and gpus_each:
        groups = [
            gpus[first : first + gpus_each]
            for first in range(0, len(gpus) - gpus_each + 1, gpus_each)
        ]
        threads = cores_each or max(1, cores() // max(1, len(groups)))
        return [Seat(threads, group) for group in groups]
    each = cores_each or 1
    return [Seat(each) for _ in range(cores() // each)]


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    said = os.environ.get("CUDA_VISIBLE_DEVICES")
    if said is not None:
        return [name for name in said.split(",") if name not in ("", "-1")]
    there = Path("/proc/driver/nvidia/gpus")
    return [str(number) for number in range(len([*there.iterdir()]) if there.is_dir() else 0)]


def work(scheduler: str, gpus_each: int, cores_each: int | None) -> None:
    """Be the workers of this host until the scheduler ends; UserError if it cannot be reached."""
    places = seats(visible_gpus(), gpus_each, cores_each)
    if not places:
        raise UserError(f"--gpus-per-worker, --cores: more than this host has ({cores()} cores)")
    configure(logging.WARNING)
    folder = workplace.scratch(Exchange())
    asyncio.run(_work(address_of(scheduler), places, folder / "dask"))


async def _work(address: str, places: Sequence[Seat], local: Path) -> None:
    guard = security()
    await _require_answer(address, guard)
    name = f"{os.uname().nodename}-{os.getpid()}"
    workers = [
        StageWorker(
            address,
            seat=seat,
            name=f"{name}-{number}",
            security=guard,
            local_directory=str(local),
        )
        for number, seat in enumerate(places)
    ]
    await asyncio.gather(*workers)
    _say(f"{len(workers)} workers at {address}; copies of projects in {local.parent}")
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
    )
    try:
        async with scheduler:
            _say(f"scheduler at {scheduler.address}")
            await _until_ended(scheduler.finished())
    except OSError as error:
        raise UserError(f"--port: {port} cannot be listened at ({error}); give another") from None


def configure(level: int) -> None:
    """Set Dask to work with stages, and to say no less than what is of this level."""
    dask.config.set(SETTINGS)
    logging.getLogger("distributed").setLevel(level)


def unreachable(address: str, error: BaseException) -> str:
    """Why a scheduler cannot be spoken to."""
    told = f"{error} {error.__cause__} {error.__context__}".lower()
    if any(word in told for word in ("certificate", "ssl", "tls alert")):
        return f"{address}: has another certificate than this machine; copy one folder to all"
    return f"{address}: no scheduler answers there; start one by `mnist-diffusion scheduler`"


async def _until_ended(event: Any) -> None:
    """Return when something has ended, or this process is told to end."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    waiting = [asyncio.ensure_future(event), asyncio.ensure_future(stopped.wait())]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
