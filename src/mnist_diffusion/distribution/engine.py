"""Dask: embedded in this process, or a cluster that it joins."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distributed import Client, Scheduler, SpecCluster

from mnist_diffusion.distribution.security import security
from mnist_diffusion.distribution.worker import LOOPBACK, StageWorker, configure, unreachable
from mnist_diffusion.distribution.workplace import Slot
from mnist_diffusion.runtime.errors import UserError

SECONDS_FOR_WORKERS = 60.0
"""Which the first worker of a cluster may take to come."""


@contextmanager
def embedded(slots: Sequence[Slot], local: Path) -> Iterator[Client]:
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
        yield client


@contextmanager
def joined(address: str) -> Iterator[Client]:
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


def all_see(client: Client, folder: Path) -> bool:
    """Whether all workers have this very folder, and not one of the same name."""
    mark = folder / f"seen-{uuid.uuid4().hex}"
    folder.mkdir(parents=True, exist_ok=True)
    mark.touch()
    try:
        return all(client.run(mark.exists).values())
    finally:
        mark.unlink()


def most_gpus(client: Client) -> int:
    """How many the worker has that has most of them."""

    def ask(dask_scheduler: Any) -> int:
        held = (worker.resources.get("gpus", 0) for worker in dask_scheduler.workers.values())
        return int(max(held, default=0))

    return client.run_on_scheduler(ask)
