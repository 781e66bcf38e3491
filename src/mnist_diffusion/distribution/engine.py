"""Dask: embedded in this process, or a cluster that it joins."""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distributed import Client, Future, KilledWorker, Scheduler, SpecCluster, wait

from mnist_diffusion.distribution.bundle import Result, Task
from mnist_diffusion.distribution.security import security
from mnist_diffusion.distribution.worker import (
    LOOPBACK,
    Delivery,
    StageWorker,
    configure,
    run_stage,
    unreachable,
)
from mnist_diffusion.distribution.workplace import Slot
from mnist_diffusion.runtime.errors import UserError

GONE = "CLUSTER: the scheduler is gone; start it and its workers again, and run this again"
SECONDS_BETWEEN_LOOKS = 5.0
SECONDS_FOR_WORKERS = 60.0
"""Which the first worker of a cluster may take to come."""
RETRIES = 2
"""Of a stage whose process was killed, as by a system that is out of memory."""


@dataclass
class Engine:
    """Workers, to which stages are given."""

    client: Client
    name: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    """Of this run: others may use the same cluster."""

    def deliver(self, delivery: Delivery) -> None:
        """Bring the project to all workers, also to those that come later."""
        self.client.register_plugin(delivery, name=self.name)

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
            retries=RETRIES,
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

    def all_see(self, folder: Path) -> bool:
        """Whether all workers have this very folder, and not one of the same name."""
        folder.mkdir(parents=True, exist_ok=True)
        mark = folder / f"seen-by-{self.name}"
        mark.touch()
        try:
            return all(self.client.run(os.path.exists, str(mark)).values())
        finally:
            mark.unlink()


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
        cause = " ".join(str(error).split()) or type(error).__name__
        return Result(address, failure=f"{address}: {cause}")
    return result


@contextmanager
def embedded(slots: Sequence[Slot], local: Path) -> Iterator[Engine]:
    """Workers in this process; nothing listens that another machine could reach."""
    configure(logging.CRITICAL)
    options = {"protocol": "inproc://", "dashboard": False, "dashboard_address": LOOPBACK}
    workers = {
        number: {"cls": StageWorker, "options": {"slot": slot, "local_directory": str(local)}}
        for number, slot in enumerate(slots)
    }
    scheduler = {"cls": Scheduler, "options": options}
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


def _resources(dask_scheduler: Any) -> list[dict[str, float]]:
    return [dict(worker.resources) for worker in dask_scheduler.workers.values()]
