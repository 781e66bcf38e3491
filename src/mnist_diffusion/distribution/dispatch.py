"""Stages given to workers in an order in which they can run, and a line for each that ends."""

from __future__ import annotations

import time
from collections.abc import Collection
from concurrent.futures import CancelledError
from contextlib import suppress
from graphlib import TopologicalSorter
from typing import Any

import typer
from distributed import Client, Future, KilledWorker, wait
from tqdm import tqdm

from mnist_diffusion.distribution.bundle import Result
from mnist_diffusion.distribution.home import Home
from mnist_diffusion.distribution.plan import Plan
from mnist_diffusion.distribution.worker import run_stage
from mnist_diffusion.distribution.workplace import log_of
from mnist_diffusion.runtime.errors import UserError, in_one_line

GONE = "CLUSTER: the scheduler is gone; start it and its workers again, and run this again"
DEADLY = "four workers died of it; see what they have said"
SECONDS_BETWEEN_LOOKS = 5.0
RETRIES = 2
"""Of a stage whose process was killed, as by a system that is out of memory."""


class Dispatch:
    """Gives a stage to a worker as soon as one is free and all that the stage waits for is done.

    Dask is given no more than there are workers for, so that the longest chain goes first, and what
    has ended is safe here when a worker is lost.
    """

    def __init__(self, plan: Plan, home: Home, client: Client, run: str):
        self._plan, self._home, self._client, self._run = plan, home, client, run
        self._order = TopologicalSorter(plan.away)
        self._order.prepare()
        self._heights = plan.heights()
        self._left, self._done, self._begun = len(plan.away), 0, time.monotonic()
        self._ready: list[str] = []
        self._running: dict[Future[Any], str] = {}
        self._workers = len(client.nthreads())

    def run(self) -> None:
        """All of it; UserError for the first that fails. What has ended is home in any case."""
        try:
            self._look_for_ready()
            while self._ready or self._running:
                self._hand_out()
                for future in self._ended():
                    self._take(future)
                self._home.settle_now_and_then()
        except BaseException:
            with suppress(Exception):  # there is something worse to tell
                self._client.cancel([*self._running])
                self._home.settle()
            raise
        self._home.settle()

    def _look_for_ready(self) -> None:
        """Also pass over what need not run, since all that it reads is as it was."""
        while found := self._order.get_ready():
            for address in found:
                if self._plan.is_due(address):
                    self._ready.append(address)
                else:
                    self._left -= 1
                    self._order.done(address)
        self._ready.sort(key=lambda address: -self._heights[address])

    def _hand_out(self) -> None:
        try:
            there = len(self._client.nthreads())
        except Exception:  # of several kinds, by what of it has been noticed
            raise UserError(GONE) from None
        if there != self._workers:
            typer.echo(f"{there} workers" if there else "no workers any more; waiting for some")
        self._workers = there
        while self._ready and len(self._running) < there:
            address = self._ready.pop(0)
            self._running[self._submit(address)] = address

    def _submit(self, address: str) -> Future[Any]:
        task = self._plan.task(address)
        resources = {"gpus": task.gpus} if task.gpus else None
        key = f"{address} {self._run}"  # of this run: others may use the same cluster
        return self._client.submit(
            run_stage, task, self._run, key=key, resources=resources, retries=RETRIES
        )

    def _ended(self) -> Collection[Future[Any]]:
        """Those that have ended, of which there may be none after some seconds."""
        if not self._running:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            return []
        try:
            return wait([*self._running], SECONDS_BETWEEN_LOOKS, "FIRST_COMPLETED").done
        except TimeoutError:
            return []
        except CancelledError:
            raise UserError(GONE) from None

    def _take(self, future: Future[Any]) -> None:
        address = self._running.pop(future)
        try:
            result: Result = future.result()
        except CancelledError:
            raise UserError(GONE) from None
        except KilledWorker:
            raise UserError(f"{address}: {DEADLY}") from None
        except Exception as error:  # of a worker itself, not of the stage
            raise UserError(f"{address}: {in_one_line(error)}; see what its worker says") from None
        self._home.take(result)
        if result.entry is None:
            log = log_of(address)
            where = f"; {log} has all that it said" if log.exists() else ""
            raise UserError(result.failure + where)
        self._order.done(address)
        self._look_for_ready()
        self._tell(address, result.seconds)

    def _tell(self, address: str, took: float) -> None:
        """One line, with how far the whole is, its rate, and how long the rest may take."""
        self._left, self._done = self._left - 1, self._done + 1
        elapsed, count = time.monotonic() - self._begun, self._done + self._left
        seconds, left = map(tqdm.format_interval, (took, elapsed / self._done * self._left))
        how_far = f"{self._done} of {count}, {60 * self._done / elapsed:.3g} a minute, {left} left"
        typer.echo(f"{address}: done in {seconds}; {how_far}")
