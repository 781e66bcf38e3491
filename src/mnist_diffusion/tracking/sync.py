"""MLflow made complete from the files: after stages, for a fresh clone, results from a cache.

Four experiments, each of runs that can be compared with one another, all flat:
- `cells`: evaluate. What made a cell and how it scored, and its digits.
- `training`: train. One loss curve a run.
- `snapshots`: fd_curve. FD along training, and digits.
- `pipeline`: the rest, sample included, so that a cell is one row among the cells.

Done twice, it does nothing the second time.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing.pool import ThreadPool
from typing import TYPE_CHECKING

from filelock import Timeout

from mnist_diffusion.dataset import mnist
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.pipeline import MANIFEST, STAGES, Stage, declared
from mnist_diffusion.provenance.digests import json_digest
from mnist_diffusion.provenance.schemas.manifest import timing_of
from mnist_diffusion.runtime.errors import UserError, in_one_line
from mnist_diffusion.settings import Settings, load_settings
from mnist_diffusion.tracking import models, runs, store
from mnist_diffusion.tracking.records import IN_TABLE, PAGE, Record, as_text, record_of
from mnist_diffusion.tracking.store import Store

if TYPE_CHECKING:
    from mlflow.entities import Run

PATIENCE_SECONDS = 60.0
"""How long whoever must log waits for another process to end its logging."""
SECONDS_EACH = 10.0
"""How long a record may take, beyond what opening a store may."""
PAUSE_SECONDS = 300.0
"""Opening MLflow costs 4 s: too much for each of many short stages, little now and then, so that
whoever looks sees the pipeline go on. LAST_STAGE brings the others."""
LAST_STAGE = "report"
UNLOGGED = ("code", "playground")
"""They measure nothing."""


@dataclass
class Counts:
    """How many results MLflow got, had, and did not take."""

    logged: int = 0
    already: int = 0
    failed: int = 0
    store: Store | None = field(default=None, compare=False, repr=False)
    """MLflow's, if it could be opened."""

    def __str__(self) -> str:
        return f"{self.logged} logged, {self.already} already there, {self.failed} failed"


def keep_up(stage: str) -> None:
    """After a stage: sync if it was the last, or if the last time is long ago."""
    stamp, last = store.root() / paths.WORK / "synced", stage == LAST_STAGE
    modified = stamp.stat().st_mtime if stamp.exists() else 0.0
    if last or time.time() - modified > PAUSE_SECONDS:
        with suppress(OSError):  # then MLflow cannot be written either, and will say so
            stamp.parent.mkdir(parents=True, exist_ok=True)
            stamp.touch()
        sync(load_settings(), PATIENCE_SECONDS if last else 0)


def sync(settings: Settings, patience: float = PATIENCE_SECONDS) -> Counts:
    """Log what MLflow lacks of what is published; a line on stderr for what it lacks then.

    A run that says something else than the files it came from is deleted, and made anew. Runs of
    what is not declared any more lose the tag `latest`; halves of runs are deleted. Nothing here
    raises: the files are written, and MLflow is only a view of them. Without patience, whoever
    meets another process at it leaves it to that.
    """
    records, unreadable = published(settings)
    if unreadable:
        more = f" (and {len(unreadable) - 1} more)" if unreadable[1:] else ""
        sys.stderr.write(f"warning: {unreadable[0]}{more}; run `dvc repro`\n")
    addresses = {stage.address(name) for stage, name in declared(settings)}
    counts = log_all(records, addresses, patience, partial(models.register, settings))
    counts.failed += len(unreadable)
    return counts


def log_all(
    records: Sequence[Record],
    addresses: Collection[str] | None = None,
    patience: float = PATIENCE_SECONDS,
    finish: Callable[[Store], int] = lambda _: 0,
) -> Counts:
    """Log records that MLflow lacks, of `addresses` that are declared; `finish` counts failures."""
    counts = Counts()

    def work() -> None:
        counts.store = store.open_store()
        shown = runs.latest(counts.store)
        for record in records:
            _log(counts.store, record, shown[record.address], counts)
        if store.NAME_VARIABLE not in os.environ:  # or others share the experiments
            _tidy(counts.store, shown, addresses)
        counts.failed += finish(counts.store)

    try:
        # Its thread is not waited for: some dead stores (a database, a network disk) never answer.
        with store.exclusive(patience), ThreadPool(1) as pool:
            pool.apply_async(work).get(store.LIMIT_SECONDS + SECONDS_EACH * len(records))
    except Exception as error:
        if patience or not isinstance(error, Timeout):
            counts.failed = len(records) - counts.logged - counts.already
            text = "the files are fine; run `mnist-diffusion track --sync` when it answers"
            store.warn(f"MLflow is not complete, {text}", error)
    return counts


def published(settings: Settings) -> tuple[list[Record], list[str]]:
    """What is there of the declared, and a line for each that is there and cannot be read."""
    found, unreadable = [], []
    for stage, name in declared(settings):
        try:
            if stage.name not in UNLOGGED and _is_whole(stage, name):
                record, timing = record_of(stage.name, name), None
                with suppress(UserError):  # the result is whole without it
                    timing = timing_of(stage.name, name)
                marks = _marks(settings, stage, name)
                found.append(replace(record, timing=timing, marks=marks))
        except Exception as error:
            unreadable.append(f"{stage.address(name)}: cannot be read ({in_one_line(error)})")
    return found, unreadable


def mlflow_differences(stage: str, name: str) -> tuple[str, list[runs.Difference]] | None:
    """The run in MLflow of what train, distill or evaluate published, and where it says otherwise.

    None if MLflow has no such run, or is not there; nothing is made. Other errors are the store's.
    """
    database = store.database_file(store.tracking_uri())
    if database and not (database.is_file() and database.stat().st_size):
        return None  # a client would make it
    record = record_of(stage, name)
    client = store.client()
    experiment = client.get_experiment_by_name(f"{store.project()}/{runs.EXPERIMENT_OF[stage]}")
    if experiment is None:
        return None
    digest = "samples_sha256" if stage == "evaluate" else "weights_sha256"
    tags = {runs.LATEST: "true", STAGES[stage].kind: name, digest: record.tags[digest]}
    wanted = ["attributes.status = 'FINISHED'", *(f"tags.{k} = '{v}'" for k, v in tags.items())]
    found = client.search_runs([experiment.experiment_id], " and ".join(wanted), max_results=1)
    return (found[0].info.run_id, list(runs.contradictions(record, found[0]))) if found else None


def _is_whole(stage: Stage, name: str | None) -> bool:
    """Whether it is published; not where a cell was drawn again and not judged yet.

    Its parameters and scores would mix.
    """
    if stage.name == "fetch":
        return not mnist.missing(paths.RAW)
    made = stage.published(name) or PAGE
    if stage.name != "evaluate" or not made.is_file():
        return made.is_file()
    drawn, address = paths.samples(str(name)) / MANIFEST, STAGES["sample"].address(name)
    judged = read_json(made)["made_from"][address]
    return drawn.is_file() and bool(judged == json_digest(read_json(drawn)))


def _marks(settings: Settings, stage: Stage, name: str | None) -> dict[str, str]:
    """The scale, and the report's tables that a cell stands in: MLflow cannot filter by names."""
    tables = settings.tables if stage.name == "evaluate" else ()
    places = {IN_TABLE.format(table): as_text(name in one.cells) for table, one in tables}
    return {"scale": settings.scale, **places}


def _log(opened: Store, record: Record, shown: Iterable[Run], counts: Counts) -> None:
    from mlflow.exceptions import MlflowException

    try:
        made = runs.log(opened, record, shown)
    except MlflowException as error:
        if error.error_code != "INVALID_PARAMETER_VALUE":
            raise
        counts.failed += 1
        store.warn(f"{record.address}: MLflow refuses it, its files are fine", error)
    else:
        counts.logged += made
        counts.already += not made


def _tidy(
    opened: Store, shown: Mapping[str, Iterable[Run]], addresses: Collection[str] | None
) -> None:
    """Take `latest` from runs of what params.yaml has no more, and halves of runs away."""
    ghosts = set(shown) - {"", *addresses} if addresses is not None else ()
    for run in (run for address in ghosts for run in shown[address]):
        opened.client.set_tag(run.info.run_id, runs.LATEST, "false")
    experiments = list(opened.experiments.values())
    for run in opened.client.search_runs(experiments, "attributes.status != 'FINISHED'"):
        if runs.CONTENT in run.data.tags:  # those of others' making stay
            opened.client.delete_run(run.info.run_id)
