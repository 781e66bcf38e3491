"""MLflow made complete from the files: for a fresh clone, a deleted database, results from a cache.

Done twice, it does nothing the second time: a result is known by the digest of its content, whoever
logged it and when.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from mnist_diffusion.tracking import runs, spool
from mnist_diffusion.tracking.agreement import contradictions, said_by
from mnist_diffusion.tracking.entry import Entry, UnusableEntryError, address_of, make_entry
from mnist_diffusion.tracking.flushing import (
    LIMIT_SECONDS,
    PATIENCE_SECONDS,
    in_turn,
    log_waiting,
    within,
)
from mnist_diffusion.tracking.records import Record
from mnist_diffusion.tracking.store import EXPERIMENTS, database_file, open_experiment, tracking_uri

if TYPE_CHECKING:
    from mlflow.entities import Run


@dataclass(frozen=True)
class Result:
    """What a stage has published, and what is known of the time it did."""

    stage: str
    name: str | None
    record: Record
    seconds: float | None = None
    scale: str | None = None
    finished: datetime | None = None
    commit: Mapping[str, str | bool | None] = field(default_factory=dict)
    """git_commit, git_dirty and dvc_experiment of that time."""
    images_per_second: float | None = None


@dataclass
class Counts:
    """How many results MLflow got, had, and did not take."""

    logged: int = 0
    already: int = 0
    failed: int = 0

    def __str__(self) -> str:
        return f"{self.logged} logged, {self.already} already there, {self.failed} failed"


def sync(results: Iterable[Result], declared: Collection[str] | None = None) -> Counts:
    """Log what MLflow lacks of the results, after what waits in the spool, which is older.

    A run that says something else than the files it came from is deleted, and made anew.

    Runs of addresses that are not `declared`, such as `sample@removed`, lose the tag `latest`;
    those that were killed half-way are deleted.
    Nothing here raises: where the store fails, one line on stderr tells so, and the rest counts as
    failed.
    """
    wanted = list(results)
    counts = Counts()
    try:
        with in_turn(PATIENCE_SECONDS):
            log_waiting()
            _log(wanted, counts)
            within(LIMIT_SECONDS, partial(_tidy, declared))
            log_waiting()  # of stages that have ended meanwhile, newer than the results
    except Exception as error:
        counts.failed = len(wanted) - counts.logged - counts.already
        again = "the files are fine; run `mnist-diffusion track --sync` when it answers"
        spool.warn(f"MLflow is not complete, {again}", error)
    return counts


def _log(results: Sequence[Result], counts: Counts) -> None:
    shown = within(LIMIT_SECONDS, _shown) if results else {}
    for result in results:
        try:
            entry = _entry(result)
            there = shown.get(entry.address, [])
            if _contents(there) == [entry.content]:
                if not any(contradictions(entry.said, said_by(there[0]))):
                    counts.already += 1
                    continue
                within(LIMIT_SECONDS, partial(runs.discard, entry, there[0]))
            files = [file for file in result.record.artifacts if file.is_file()]
            made = within(LIMIT_SECONDS, partial(runs.log, entry, files))
        except UnusableEntryError as error:
            counts.failed += 1
            spool.warn(f"{entry.address}: MLflow refuses it, its files are fine", error)
        else:
            counts.logged += made
            counts.already += not made


def _shown() -> dict[str | None, list[Run]]:
    """The runs that are the latest of each address."""
    found: dict[str | None, list[Run]] = {}
    for name in EXPERIMENTS:
        for run in runs.latest(*open_experiment(name)):
            found.setdefault(address_of(run.data.tags), []).append(run)
    return found


def _contents(there: Iterable[Run]) -> list[str | None]:
    """By their tags; None for one that has not ended."""
    return [
        run.data.tags.get(runs.CONTENT_TAG) if run.info.status == "FINISHED" else None
        for run in there
    ]


def _tidy(declared: Collection[str] | None) -> None:
    """Take `latest` from runs of what params.yaml has no more, and halves of runs away."""
    for name in EXPERIMENTS:
        client, experiment = open_experiment(name)
        for run in runs.latest(client, experiment):
            address = address_of(run.data.tags)
            if None not in (declared, address) and address not in (declared or ()):
                runs.retire(client, run)
        if database_file(tracking_uri()):  # at a server, somebody else may be writing
            runs.delete_halves(client, experiment)


def _entry(result: Result) -> Entry:
    end = result.finished.timestamp() if result.finished else time.time()
    return make_entry(
        result.stage,
        result.name,
        result.record,
        scale=result.scale,
        seconds=result.seconds,
        end_ms=round(end * 1000),
        commit=result.commit,
        images_per_second=result.images_per_second,
    )
