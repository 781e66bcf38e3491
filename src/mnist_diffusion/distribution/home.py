"""What comes back to the project itself: outs, entries of dvc.lock, sidecars, logs."""

from __future__ import annotations

import os
import time

from mnist_diffusion.distribution import transfer
from mnist_diffusion.distribution.bundle import Exchange, Result
from mnist_diffusion.distribution.plan import Plan
from mnist_diffusion.distribution.workplace import log_of
from mnist_diffusion.files import paths
from mnist_diffusion.files.atomic import write_atomically
from mnist_diffusion.files.jsonfile import write_json
from mnist_diffusion.provenance.environment import git_commit

PAUSE_SECONDS = 300.0
"""Between two times that all is brought home while stages still run; writing dvc.lock takes CPU."""


class Home:
    """The project of which the plan is, and how its data travels."""

    def __init__(self, plan: Plan, exchange: Exchange):
        self._plan, self._exchange = plan, exchange
        self._commit = git_commit() | {"dvc_experiment": os.environ.get("DVC_EXP_NAME")}
        self._waiting: list[str] = []
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
        self._waiting.append(result.address)
        if result.timing:
            sidecar = paths.timing_of(result.address)
            write_json(sidecar, {**result.timing, **self._commit})

    def settle_now_and_then(self) -> None:
        """Settle what has waited long enough, so that `make ui` and `dvc metrics` can show it."""
        if time.monotonic() - self._settled > PAUSE_SECONDS:
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
        from dvc.utils.serialize import dumps_yaml

        lock = self._plan.lock
        names = dict.fromkeys([*self._plan.stages, *lock])
        ordered = {name: lock[name] for name in names if name in lock}
        write_atomically(paths.LOCK, dumps_yaml({"schema": "2.0", "stages": ordered}))
