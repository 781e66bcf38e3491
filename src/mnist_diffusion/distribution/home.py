"""What comes back to the project itself: outs, entries of dvc.lock, sidecars, logs."""

from __future__ import annotations

import os
import time
from pathlib import Path

from mnist_diffusion.distribution import freight
from mnist_diffusion.distribution.bundle import Exchange, Result
from mnist_diffusion.distribution.plan import LOCK, Plan
from mnist_diffusion.distribution.workplace import LOGS
from mnist_diffusion.files import paths
from mnist_diffusion.files.atomic import write_atomically
from mnist_diffusion.files.jsonfile import read_json, write_json
from mnist_diffusion.provenance.environment import git_commit

ORDER = paths.WORK / "lock-order.json"
"""The addresses that dvc.lock had when work began that has not got to its end yet."""
PAUSE_SECONDS = 300.0
"""Between two times that all is brought home while stages still run; writing dvc.lock takes CPU."""


class Home:
    """The project of which the plan is, and how its data travels."""

    def __init__(self, plan: Plan, exchange: Exchange):
        self._plan, self._exchange = plan, exchange
        self._commit = git_commit() | {"dvc_experiment": os.environ.get("DVC_EXP_NAME")}
        self._waiting: list[str] = []
        self._settled = time.monotonic()
        self._known: list[str] = read_json(ORDER) if ORDER.exists() else list(plan.before)

    def offer(self) -> None:
        """Make what is up to date, and what is due reads, ready for workers to fetch."""
        plan = self._plan
        read = {parent for address in plan.away for parent in plan.parents[address]}
        stages = [
            freight.whole(plan.repo, plan.lock[address]) for address in read - plan.due.keys()
        ]
        with plan.repo.lock:
            freight.offer(plan.repo, stages)
            if self._exchange.cache is None:
                freight.push(plan.repo, stages)

    def take(self, result: Result) -> None:
        """Note a result; one that failed leaves its log and nothing else."""
        if result.log:
            write_atomically(log_of(result.address), result.log)
        if result.entry is None:
            return
        self._plan.lock[result.address] = result.entry
        self._waiting.append(result.address)
        if result.timing:
            sidecar = paths.TIMINGS / f"{result.address}.json"
            write_json(sidecar, {**result.timing, **self._commit})

    def is_time(self) -> bool:
        """Whether results have waited long enough."""
        return bool(self._waiting) and time.monotonic() - self._settled > PAUSE_SECONDS

    def settle(self) -> None:
        """Put the outs of what has come in place, and then the entries into dvc.lock, at once."""
        if not self._waiting:
            return
        plan = self._plan
        with plan.repo.lock:
            stages = {name: freight.whole(plan.repo, plan.lock[name]) for name in self._waiting}
            if self._exchange.cache is None:
                freight.pull(plan.repo, stages.values())
            for address, stage in stages.items():
                outs = plan.stages[address].outs
                freight.place(stage, [out.def_path for out in outs if not out.use_cache])
            write_json(ORDER, self._known)
            self._write_lock()
        self._waiting.clear()
        self._settled = time.monotonic()

    def finish(self) -> None:
        """All has come home, and the lock's order is that of a plain `dvc repro`."""
        self.settle()
        ORDER.unlink(missing_ok=True)

    def _write_lock(self) -> None:
        """What it had keeps its place, and the rest follows in the order of `dvc repro`.

        Also if this is not the first start since then, and others had got half the way.
        """
        from dvc.utils.serialize import dumps_yaml

        lock = self._plan.lock
        names = [*self._known, *self._plan.stages, *lock]
        ordered = {name: lock[name] for name in dict.fromkeys(names) if name in lock}
        write_atomically(LOCK, dumps_yaml({"schema": "2.0", "stages": ordered}))


def log_of(address: str) -> Path:
    """What a stage said."""
    return paths.WORK / LOGS / f"{address}.log"
