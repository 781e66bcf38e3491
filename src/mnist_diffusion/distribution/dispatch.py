"""Stages given to workers in an order in which they can run, and what comes back of each."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from concurrent.futures import CancelledError
from contextlib import suppress
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import typer
from distributed import Client, Future, KilledWorker, wait
from dvc.lock import LockError
from dvc.utils.serialize import dumps_yaml
from tqdm import tqdm

from mnist_diffusion.distribution import transfer
from mnist_diffusion.distribution.bundle import Exchange, Result
from mnist_diffusion.distribution.plan import Plan
from mnist_diffusion.distribution.worker import run_stage
from mnist_diffusion.distribution.workplace import log_of
from mnist_diffusion.files import paths
from mnist_diffusion.files.atomic import write_atomically
from mnist_diffusion.files.jsonfile import write_json
from mnist_diffusion.provenance.environment import git_commit
from mnist_diffusion.runtime.errors import UserError, in_one_line

GONE = "CLUSTER: the scheduler is gone; start it and its workers again, and run this again"
DEADLY = "four workers died of it; see what they have said"
LINES = 10
"""Of what a stage said at last, where it ended without an error of ours."""
SECONDS_BETWEEN_LOOKS = 5.0
SECONDS_BETWEEN_SETTLEMENTS = 30.0
"""After which what has come is put in place while stages still run."""
RETRIES = 2
"""Of a stage whose process was killed, as by a system that is out of memory."""


class Home:
    """The project of which the plan is, and how its data travels."""

    def __init__(self, plan: Plan, exchange: Exchange):
        self._plan, self._exchange = plan, exchange
        self._commit = git_commit() | {"dvc_experiment": os.environ.get("DVC_EXP_NAME")}
        self._waiting: list[str] = []
        self._texts: dict[str, str] = {}
        """Entries of dvc.lock as they stand there: each is written in YAML but once, and slowly."""
        self._settled = time.monotonic()

    def offer(self) -> None:
        """Make what is up to date, and what is due reads, ready for workers to fetch."""
        plan = self._plan
        read = {parent for address in plan.away for parent in plan.parents[address]}
        up_to_date = read - plan.due.keys()
        stages = [transfer.stage_of(plan.repo, plan.lock[address]) for address in up_to_date]
        with plan.repo.lock:
            transfer.commit(plan.repo, stages)
            if self._exchange.remote:
                transfer.push(plan.repo, stages)

    def take(self, result: Result) -> None:
        """Note a result; one that failed leaves its log and nothing else."""
        if result.log:
            write_atomically(log_of(result.address), result.log)
        if result.entry is None:
            return
        self._plan.lock[result.address] = result.entry
        self._texts.pop(result.address, None)
        self._waiting.append(result.address)
        if result.timing:
            sidecar = paths.timing_of(result.address)
            write_json(sidecar, {**result.timing, **self._commit})

    def settle_now_and_then(self) -> None:
        """Settle what has waited long enough, so that it shows, and is safe if this is killed."""
        if time.monotonic() - self._settled > SECONDS_BETWEEN_SETTLEMENTS:
            with suppress(LockError):  # another DVC, such as `dvc status`, is at work: next time
                self.settle()

    def settle(self) -> None:
        """Put the outs of what has come in place, and then the entries into dvc.lock, at once."""
        plan, self._settled = self._plan, time.monotonic()
        if not self._waiting:
            return
        with plan.repo.lock:
            made = {name: transfer.stage_of(plan.repo, plan.lock[name]) for name in self._waiting}
            if self._exchange.remote:
                transfer.pull(plan.repo, made.values())
            for address, stage in made.items():
                outs = plan.stages[address].outs
                transfer.checkout(stage, [out.def_path for out in outs if not out.use_cache])
            self._write_lock()
        self._waiting.clear()

    def _write_lock(self) -> None:
        """In the order of the pipeline, however often and where work was broken off.

        Entries of stages that there are no more stand last, as DVC leaves them.
        """
        lock = self._plan.lock
        for name in lock.keys() - self._texts.keys():
            entry = dumps_yaml({"stages": {name: lock[name]}})
            self._texts[name] = entry.removeprefix("stages:\n")
        names = dict.fromkeys([*self._plan.stages, *lock])
        ordered = [self._texts[name] for name in names if name in lock]
        write_atomically(paths.LOCK, "".join(["schema: '2.0'\nstages:\n", *ordered]))


class Dispatch:
    """Gives a stage to a worker as soon as one is free and all that the stage waits for is done.

    Dask is given no more than there are workers for, so that the longest chain goes first, and what
    has ended is safe here when a worker is lost.
    """

    def __init__(self, plan: Plan, home: Home, client: Client):
        self._plan, self._home, self._client = plan, home, client
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
        except BaseException as error:
            with suppress(Exception):  # there is something worse to tell
                self._client.cancel([*self._running])
            with suppress(Exception):
                self._home.settle()
            if isinstance(error, CancelledError):
                raise UserError(GONE) from None
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
        log_of(address).unlink(missing_ok=True)
        task = self._plan.task(address)
        resources = {"gpus": task.gpus} if task.gpus else None
        head = self._client.id
        key = f"{address} {head}"  # other heads may use the same cluster
        return self._client.submit(
            run_stage, task, head, key=key, resources=resources, retries=RETRIES
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

    def _take(self, future: Future[Any]) -> None:
        address = self._running.pop(future)
        try:
            result: Result = future.result()
        except KilledWorker:
            raise UserError(f"{address}: {DEADLY}") from None
        except CancelledError:
            raise
        except ChildProcessError as error:
            raise UserError(f"{address}: {error}") from None
        except Exception as error:  # of a worker itself, not of the stage
            raise UserError(f"{address}: {in_one_line(error)}; see what its worker says") from None
        self._home.take(result)
        if result.entry is None:
            raise UserError(result.failure + _tell_end(log_of(address)))
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


def _tell_end(log: Path) -> str:
    """Print the end of a log that has no line of ours to tell what went wrong; where it is."""
    if not log.exists():
        return ""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    if not any(line.startswith("error: ") for line in lines):
        typer.echo("\n".join(lines[-LINES:]), err=True)
    return f"; {log} has all that it said"
