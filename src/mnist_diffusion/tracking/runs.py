"""One MLflow run for each time a stage ran.

Three experiments, each of runs that can be compared with one another, all flat:
- `mnist-diffusion/cells`: evaluate. What made a cell and how it scored, side by side.
- `mnist-diffusion/training`: train. One loss curve a run.
- `mnist-diffusion/pipeline`: the rest, sample included, so that a cell is one row among the cells.

A run is named like its DVC stage (`sample@cosine-class`), without the stage where it is the only
one of its experiment, so that legends read. Its tag `latest` is true until the stage runs again.
All is logged when the stage has ended: a killed stage leaves no run behind.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, TypeVar

from mnist_diffusion.tracking.record import Record, legal_name, text
from mnist_diffusion.tracking.store import CELLS, PIPELINE, TRAINING, git, open_experiment

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

EXPERIMENT_OF = {"evaluate": CELLS, "train": TRAINING}
NAME_TAG = {"train": "run", "sample": "cell", "evaluate": "cell"}
SOURCES = ("src", "params.yaml", "dvc.yaml", "requirements.lock")
"""What decides a result; dvc.lock and the reports change in every repro and are not dirt."""

LIMIT_SECONDS = 120.0
METRICS_PER_BATCH = 1000
PARAMS_PER_BATCH = 100

Item = TypeVar("Item")


def log_run(
    stage: str, name: str | None, record: Record, seconds: float, *, scale: str | None = None
) -> None:
    """Log a stage that has ended after `seconds`; a failure is one line on stderr, never more.

    A stage's files are written by then, so nothing here may raise or hold it up for long.
    """
    try:
        _within(LIMIT_SECONDS, lambda: _log(stage, name, record, seconds, scale))
    except Exception as error:
        cause = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        title = _title(stage, name)
        sys.stderr.write(f"warning: {title}: no MLflow run, its files are fine: {cause}\n")


def _within(limit: float, work: Callable[[], None]) -> None:
    """Do work, or give up on it: some dead stores (a database, a network disk) never answer."""
    errors: list[Exception] = []

    def attempt() -> None:
        try:
            work()
        except Exception as error:
            errors.append(error)

    thread = Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(limit)
    if thread.is_alive():
        raise TimeoutError(f"the store did not finish within {limit:.0f} s")
    if errors:
        raise errors[0]


def _log(stage: str, name: str | None, record: Record, seconds: float, scale: str | None) -> None:
    end = time.time_ns() // 1_000_000
    title = name if name and stage in EXPERIMENT_OF else _title(stage, name)
    client, experiment = open_experiment(EXPERIMENT_OF.get(stage, PIPELINE))
    tags = {key: text(value) for key, value in _tags(stage, name, record, scale).items()}
    run = client.create_run(experiment, end - round(seconds * 1000), tags, title).info.run_id
    try:
        _write(client, run, record, seconds, end)
        _mark_latest(client, experiment, title, run)
        client.set_terminated(run, "FINISHED", end)
    except BaseException:
        with suppress(Exception):
            client.set_terminated(run, "FAILED", end)
        raise


def _title(stage: str, name: str | None) -> str:
    return f"{stage}@{name}" if name else stage


def _tags(stage: str, name: str | None, record: Record, scale: str | None) -> dict[str, str]:
    """Stage, run or cell, scale, git commit and DVC experiment, before the record's own."""
    commit = git("rev-parse", "HEAD")
    changes = git("status", "--porcelain", "--", *SOURCES)
    own = {
        "stage": stage,
        NAME_TAG.get(stage, "name"): name,
        "scale": scale,
        "git_commit": commit,
        "git_dirty": None if changes is None else text(bool(changes)),
        "mlflow.source.git.commit": commit,
        "mlflow.source.name": f"mnist-diffusion {' '.join(filter(None, (stage, name)))}",
        "mlflow.source.type": "LOCAL",
        "dvc_experiment": os.environ.get("DVC_EXP_NAME"),
    }
    return {key: value for key, value in own.items() if value} | dict(record.tags)


def _write(client: MlflowClient, run: str, record: Record, seconds: float, time_ms: int) -> None:
    from mlflow.entities import Metric, Param

    totals = {**record.metrics, "seconds": seconds}
    if record.images is not None and seconds > 0:
        totals["images_per_second"] = record.images / seconds
    metrics = [Metric(legal_name(key), float(value), time_ms, 0) for key, value in totals.items()]
    metrics += [
        Metric(legal_name(p.metric), float(p.value), time_ms, p.step) for p in record.history
    ]
    params = [Param(legal_name(key), text(value)) for key, value in record.params.items()]
    for some_params in _batches(params, PARAMS_PER_BATCH):
        client.log_batch(run, params=some_params)
    for some_metrics in _batches(metrics, METRICS_PER_BATCH):
        client.log_batch(run, metrics=some_metrics)
    for path in record.artifacts:
        client.log_artifact(run, str(path))


def _mark_latest(client: MlflowClient, experiment: str, title: str, run: str) -> None:
    """Take the tag `latest` from older runs of the same stage, which would show up as doubles."""
    same = f"attributes.run_name = '{title}' and tags.latest = 'true'"
    for older in client.search_runs([experiment], same):
        client.set_tag(older.info.run_id, "latest", "false")
    client.set_tag(run, "latest", "true")


def _batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))
