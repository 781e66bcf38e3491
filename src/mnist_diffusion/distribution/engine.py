"""Dask: embedded in this process, or a cluster that it joins."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from distributed import Client, Future, KilledWorker, Scheduler, SpecCluster, wait

from mnist_diffusion.distribution.bundle import Bundle, Exchange, Result, Task
from mnist_diffusion.distribution.passport import passport, require_numerics
from mnist_diffusion.distribution.security import security
from mnist_diffusion.distribution.worker import (
    LOOPBACK,
    Delivery,
    StageWorker,
    Terms,
    configure,
    numerics,
    run_stage,
    sees,
    unreachable,
)
from mnist_diffusion.distribution.workplace import Seat
from mnist_diffusion.runtime.errors import UserError

GONE = "CLUSTER: the scheduler is gone; start it and its workers again, and run this again"
SECONDS_BETWEEN_LOOKS = 5.0
SECONDS_FOR_WORKERS = 60.0
"""Which the first worker of a cluster may take to come."""


@dataclass
class Engine:
    """Workers, to which stages are given."""

    client: Client
    name: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    """Of this run: others may use the same cluster."""

    def deliver(self, bundle: Bundle, terms: Terms | None = None) -> None:
        """Bring the project to all workers, also to those that come later, on these terms."""
        self.client.register_plugin(Delivery(bundle, terms), name=self.name)

    def workers(self) -> int:
        """How many there are; UserError if the scheduler is gone."""
        try:
            return len(self.client.nthreads())
        except Exception:  # of several kinds, by what of it has been noticed
            raise UserError(GONE) from None

    def submit(self, task: Task, needs: Mapping[str, float], priority: int) -> Future[Any]:
        """Have a stage run by a worker that holds what it needs."""
        return self.client.submit(
            run_stage,
            task,
            self.name,
            key=f"{task.address} {self.name}",
            resources=dict(needs) or None,
            priority=priority,
            pure=False,
        )

    def ended(self, futures: Collection[Future[Any]]) -> list[Future[Any]]:
        """Those of these that have ended, of which there may be none after some seconds."""
        if not futures:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            return []
        try:
            return [*wait([*futures], SECONDS_BETWEEN_LOOKS, "FIRST_COMPLETED").done]
        except TimeoutError:
            return []
        except CancelledError:
            return [future for future in futures if future.done()]

    def require_resources(self, needs: Mapping[str, Mapping[str, float]]) -> None:
        """UserError for a stage that no worker has the resources for."""
        held = self.client.run_on_scheduler(_resources)
        for address, wanted in needs.items():
            if not any(all(has.get(k, 0) >= n for k, n in wanted.items()) for has in held):
                words = ", ".join(f"{count} {name}" for name, count in wanted.items())
                raise UserError(
                    f"{address}: needs {words}, and no worker has that; "
                    "start one that does, or ask for less in dvc.yaml"
                )


def result_of(address: str, future: Future[Any]) -> Result:
    """A stage's result, whatever has become of it."""
    try:
        result: Result = future.result()
    except KilledWorker:
        return Result(
            address, failure=f"{address}: four workers died of it; see what they have said"
        )
    except CancelledError:
        return Result(address, failure=GONE)
    except Exception as error:  # of a worker itself, not of the stage
        cause = " ".join(f"{type(error).__name__}: {error}".split())
        return Result(address, failure=f"{address}: {cause}")
    return result


@contextmanager
def embedded(seats: Sequence[Seat], local: str) -> Iterator[Engine]:
    """Workers in this process; nothing listens that another machine could reach."""
    configure(logging.CRITICAL)
    common = {"dashboard": False, "dashboard_address": LOOPBACK}
    scheduler = {"cls": Scheduler, "options": {"protocol": "inproc://", **common}}
    workers = {
        number: {"cls": StageWorker, "options": {"seat": seat, "local_directory": local}}
        for number, seat in enumerate(seats)
    }
    with (
        SpecCluster(workers, scheduler, silence_logs=logging.CRITICAL) as cluster,
        Client(cluster) as client,
    ):
        yield Engine(client)


@contextmanager
def joined(address: str) -> Iterator[Engine]:
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
        engine = Engine(client)
        try:
            yield engine
        finally:
            with suppress(Exception):  # a cluster that is gone has forgotten it
                client.unregister_worker_plugin(engine.name)


def agree(client: Client, compute: str | None, mixed: bool) -> Terms:
    """What all workers have in common; UserError if one has other code, packages or numerics."""
    here = passport()
    for worker, theirs in client.run(passport, on_error="return").items():
        if isinstance(theirs, Exception):
            raise UserError(f"{worker}: other code than here ({theirs}); bring it to this commit")
        here.require(worker, theirs)
    if compute is None or mixed:
        return Terms(here)
    told = client.run(numerics, compute)
    first = next(iter(told))
    for worker, facts in told.items():
        if "error" in facts:
            raise UserError(f"{worker}: {facts['error']}")
        require_numerics(worker, facts, first, told[first])
    return Terms(here, compute, told[first])


def see_cache(client: Client, exchange: Exchange) -> bool:
    """Whether all workers have the cache of an exchange."""
    return all(client.run(sees, exchange).values())


def _resources(dask_scheduler: Any) -> list[dict[str, float]]:
    return [dict(worker.resources) for worker in dask_scheduler.workers.values()]
