"""Stages given to workers in an order in which they can run, and what comes of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

from mnist_diffusion.distribution.engine import Engine, result_of
from mnist_diffusion.distribution.home import Home, log_of
from mnist_diffusion.distribution.pace import Pace, say
from mnist_diffusion.distribution.plan import Plan
from mnist_diffusion.runtime.errors import UserError

if TYPE_CHECKING:
    from distributed import Future


class Dispatch:
    """Gives a stage to a worker as soon as one is free and all that the stage waits for is done.

    Dask is given no more than there are workers for, so that the longest chain goes first, and what
    has ended is safe here when a worker is lost.
    """

    def __init__(self, plan: Plan, home: Home, engine: Engine, keep_going: bool = False):
        self._plan, self._home, self._engine = plan, home, engine
        self._keep_going = keep_going
        self._order = TopologicalSorter(plan.away)
        self._order.prepare()
        self._heights = plan.heights()
        self._pace = Pace(plan.away)
        self._ready: list[str] = []
        self._running: dict[Future[Any], str] = {}
        self._failures: list[str] = []
        self._workers = engine.workers()

    def run(self, settled: Callable[[], None]) -> None:
        """All of it; UserError for the first that fails. `settled`: each time that all is home."""
        try:
            self._look_for_ready()
            while self._ready or self._running:
                self._hand_out()
                for future in self._engine.ended(self._running):
                    self._take(future)
                if self._failures and not self._keep_going:
                    break
                if self._home.is_time():
                    self._home.settle()
                    settled()
        except BaseException:
            with suppress(Exception):  # there is something worse to tell
                self._engine.client.cancel([*self._running])
                self._home.settle()
            raise
        if not self._failures:
            self._home.finish()
            return
        self._engine.client.cancel([*self._running])
        self._home.settle()
        more = f" (and {len(self._failures) - 1} more)" if self._failures[1:] else ""
        raise UserError(self._failures[0] + more)

    def _look_for_ready(self) -> None:
        """Also pass over what need not run, since all that it reads is as it was."""
        while found := self._order.get_ready():
            for address in found:
                if self._plan.is_due(address):
                    self._ready.append(address)
                else:
                    self._pace.skip(address)
                    self._order.done(address)
        self._ready.sort(key=lambda address: -self._heights[address])

    def _hand_out(self) -> None:
        self._note_workers(self._engine.workers())
        while self._ready and len(self._running) < self._workers:
            address = self._ready.pop(0)
            task, needs = self._plan.task(address), self._plan.needs(address)
            future = self._engine.submit(task, needs, self._heights[address])
            self._running[future] = address

    def _note_workers(self, there: int) -> None:
        if there != self._workers:
            say(f"{there} workers" if there else "no workers any more; waiting for some")
        self._workers = there

    def _take(self, future: Future[Any]) -> None:
        address = self._running.pop(future)
        result = result_of(address, future)
        self._home.take(result)
        if result.entry is not None:
            self._pace.done(address, result.seconds, self._workers)
            self._order.done(address)
            self._look_for_ready()
            return
        self._failures.append(_told(result.failure, address))
        if self._keep_going:
            say(f"error: {self._failures[-1]}")


def _told(failure: str, address: str) -> str:
    log = log_of(address)
    return f"{failure}; {log} has all that it said" if log.exists() else failure
