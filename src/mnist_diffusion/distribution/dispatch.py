"""Stages given to workers in an order in which they can run, and a line for each that ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import suppress
from graphlib import TopologicalSorter
from statistics import fmean
from typing import TYPE_CHECKING, Any

import typer

from mnist_diffusion.distribution.engine import Engine, result_of
from mnist_diffusion.distribution.home import Home
from mnist_diffusion.distribution.plan import Plan
from mnist_diffusion.distribution.workplace import log_of
from mnist_diffusion.runtime.errors import UserError

if TYPE_CHECKING:
    from distributed import Future


class Dispatch:
    """Gives a stage to a worker as soon as one is free and all that the stage waits for is done.

    Dask is given no more than there are workers for, so that the longest chain goes first, and what
    has ended is safe here when a worker is lost.
    """

    def __init__(self, plan: Plan, home: Home, engine: Engine):
        self._plan, self._home, self._engine = plan, home, engine
        self._order = TopologicalSorter(plan.away)
        self._order.prepare()
        self._heights = plan.heights()
        self._progress = _Progress(plan.away)
        self._ready: list[str] = []
        self._running: dict[Future[Any], str] = {}
        self._workers = engine.workers()

    def run(self, settled: Callable[[], None]) -> None:
        """All of it; UserError for the first that fails. `settled`: each time that all is home."""
        try:
            self._look_for_ready()
            while self._ready or self._running:
                self._hand_out()
                for future in self._engine.ended(self._running):
                    self._take(future)
                if self._home.is_time():
                    self._home.settle()
                    settled()
        except BaseException:
            with suppress(Exception):  # there is something worse to tell
                self._engine.client.cancel([*self._running])
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
                    self._progress.skip(address)
                    self._order.done(address)
        self._ready.sort(key=lambda address: -self._heights[address])

    def _hand_out(self) -> None:
        there = self._engine.workers()
        if there != self._workers:
            typer.echo(f"{there} workers" if there else "no workers any more; waiting for some")
        self._workers = there
        while self._ready and len(self._running) < there:
            address = self._ready.pop(0)
            task, needs = self._plan.task(address), self._plan.needs(address)
            future = self._engine.submit(task, needs, self._heights[address])
            self._running[future] = address

    def _take(self, future: Future[Any]) -> None:
        address = self._running.pop(future)
        result = result_of(address, future)
        self._home.take(result)
        if result.entry is None:
            log = log_of(address)
            where = f"; {log} has all that it said" if log.exists() else ""
            raise UserError(result.failure + where)
        typer.echo(self._progress.done(address, result.seconds, self._workers))
        self._order.done(address)
        self._look_for_ready()


class _Progress:
    """How far so many stages are, at what rate, and how long the rest may take."""

    def __init__(self, addresses: Collection[str]):
        self._left = {*addresses}
        self._begun = time.monotonic()
        self._took: dict[str, list[float]] = {}
        """Seconds on a worker, by stage."""

    def skip(self, address: str) -> None:
        self._left.discard(address)

    def done(self, address: str, seconds: float, workers: int) -> str:
        """The line that tells that a stage has ended, after so many seconds of one worker."""
        self._left.discard(address)
        self._took.setdefault(_stage(address), []).append(seconds)
        done = sum(map(len, self._took.values()))
        rate = 60 * done / (time.monotonic() - self._begun)
        rest = sum(map(self._expected, self._left)) / max(1, workers)
        return (
            f"{address}: done in {_clock(seconds)}; {done} of {done + len(self._left)}, "
            f"{rate:.3g} a minute, {_clock(rest)} left"
        )

    def _expected(self, address: str) -> float:
        """Seconds by what its stage took so far, or else by all of them."""
        others = (seconds for took in self._took.values() for seconds in took)
        return fmean(self._took.get(_stage(address)) or others)


def _stage(address: str) -> str:
    return address.partition("@")[0]


def _clock(seconds: float) -> str:
    """Minutes and seconds, 4:05; with hours before them where there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
