"""What is out of date, in the order of a plain `dvc repro`, and what each stage waits for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mnist_diffusion.distribution.bundle import Task
from mnist_diffusion.files import paths
from mnist_diffusion.files.yamlfile import read_lock
from mnist_diffusion.runtime.errors import UserError

HERE = "here"
"""In `meta` of a stage in dvc.yaml: it runs in the project itself, and in no copy of it."""
GPUS = "gpus"
"""There, too: of how many GPUs of one worker it makes use."""
Entry = Mapping[str, Any]


@dataclass
class Plan:
    """The stages of dvc.yaml, as things stand."""

    repo: Any
    """DVC's own repository, open."""
    stages: Mapping[str, Any]
    """DVC's stages by their addresses, in the order in which a plain `dvc repro` runs them."""
    parents: Mapping[str, list[str]]
    """The stages that made what each reads."""
    changed: set[str]
    """What is out of date by itself."""
    lock: dict[str, Entry]
    """The entries of dvc.lock, with those of what has run since."""
    due: dict[str, set[str]] = field(init=False, default_factory=dict)
    """What is out of date, or comes of what is, and which of these it waits for; in order."""
    away: dict[str, set[str]] = field(init=False, default_factory=dict)
    """Of these the ones that can run in copies, before any that runs here."""

    def __post_init__(self) -> None:
        self._before = dict(self.lock)
        for address in self.stages:
            waits_for = {*self.parents[address]} & self.due.keys()
            if waits_for or address in self.changed:
                self.due[address] = waits_for
                if not self._is_here(address) and waits_for <= self.away.keys():
                    self.away[address] = waits_for

    def first_here(self) -> list[str]:
        """The due ones that run here, and wait for nothing that does not."""
        found: list[str] = []
        for address, waits_for in self.due.items():
            if self._is_here(address) and waits_for <= {*found}:
                found.append(address)
        return found

    def is_due(self, address: str) -> bool:
        """Whether it must run still, now that all it waits for is done and may be as it was."""
        return address in self.changed or any(
            self.lock[parent]["outs"] != self._before.get(parent, {}).get("outs")
            for parent in self.away[address]
        )

    def task(self, address: str) -> Task:
        """What a worker must know to run it."""
        parents = {parent: self.lock[parent] for parent in self.parents[address]}
        command = str(self.stages[address].cmd)
        return Task(address, command, self.gpus(address), parents)

    def gpus(self, address: str) -> int:
        """How many it asks for in dvc.yaml, by `meta: {gpus: N}`; 0: it does not say."""
        count = (self.stages[address].meta or {}).get(GPUS, 0)
        if not isinstance(count, int) or count < 0:
            raise UserError(f"dvc.yaml: {address}: meta.{GPUS} is {count!r}; give a number")
        return count

    def heights(self) -> dict[str, int]:
        """How many stages in a row wait for each: what has most behind it is begun first."""
        found: dict[str, int] = dict.fromkeys(self.away, 0)
        for address in reversed(self.away):
            for parent in self.away[address]:
                found[parent] = max(found[parent], found[address] + 1)
        return found

    def _is_here(self, address: str) -> bool:
        return bool((self.stages[address].meta or {}).get(HERE))


def plan(repo: Any) -> Plan:
    """What is to be done as things stand in an open repository of DVC's."""
    from dvc.repo import lock_repo
    from dvc.repo.reproduce import plan_repro

    with lock_repo(repo):  # in which the pipeline is read but once
        changed, graph = set(repo.status()), repo.index.graph
    parents = {
        stage.addressing: [parent.addressing for parent in graph.successors(stage)]
        for stage in graph
    }
    stages = {stage.addressing: stage for stage in plan_repro(graph)}
    there = paths.LOCK.exists() and paths.LOCK.stat().st_size  # a killed DVC may leave it empty
    lock = read_lock() if there else {}
    return Plan(repo, stages, parents, changed, lock)
