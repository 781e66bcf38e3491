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

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mnist_diffusion.tracking.record import legal_name
from mnist_diffusion.tracking.spool import Entry, UnusableEntryError, title
from mnist_diffusion.tracking.store import CELLS, PIPELINE, TRAINING, open_experiment

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

EXPERIMENT_OF = {"evaluate": CELLS, "train": TRAINING}
ENTRY_TAG = "entry"

METRICS_PER_BATCH = 1000
PARAMS_PER_BATCH = 100

Item = TypeVar("Item")


def log(key: str, entry: Entry, files: Sequence[Path]) -> None:
    """Make a run of a spool's entry, once however often it is tried; `key` is the entry's own.

    UnusableEntryError if MLflow refuses what the entry says; other errors tell of the store.
    """
    client, experiment = open_experiment(EXPERIMENT_OF.get(entry.stage, PIPELINE))
    for earlier in client.search_runs([experiment], f"tags.{ENTRY_TAG} = '{key}'"):
        if earlier.info.status == "FINISHED":
            return
        client.delete_run(earlier.info.run_id)  # half a run
    _log(client, experiment, key, entry, files)


def _log(
    client: MlflowClient, experiment: str, key: str, entry: Entry, files: Sequence[Path]
) -> None:
    from mlflow.exceptions import MlflowException

    alone = entry.stage in EXPERIMENT_OF
    name = entry.name if entry.name and alone else title(entry.stage, entry.name)
    start = entry.end_ms - round(entry.seconds * 1000)
    tags = {**entry.tags, ENTRY_TAG: key}
    run = client.create_run(experiment, start, tags, name).info.run_id
    try:
        _write(client, run, entry, files)
        _mark_latest(client, experiment, name, run)
        client.set_terminated(run, "FINISHED", entry.end_ms)
    except BaseException as error:
        with suppress(Exception):
            client.set_terminated(run, "FAILED", entry.end_ms)
        if isinstance(error, MlflowException) and error.error_code == "INVALID_PARAMETER_VALUE":
            raise UnusableEntryError(str(error)) from None
        raise


def _write(client: MlflowClient, run: str, entry: Entry, files: Sequence[Path]) -> None:
    from mlflow.entities import Metric, Param

    totals = {**entry.metrics, "seconds": entry.seconds}
    if entry.images is not None and entry.seconds > 0:
        totals["images_per_second"] = entry.images / entry.seconds
    points = [(key, value, 0) for key, value in totals.items()] + entry.history
    metrics = [Metric(legal_name(key), value, entry.end_ms, step) for key, value, step in points]
    params = [Param(legal_name(key), value) for key, value in entry.params.items()]
    for some_params in _batches(params, PARAMS_PER_BATCH):
        client.log_batch(run, params=some_params)
    for some_metrics in _batches(metrics, METRICS_PER_BATCH):
        client.log_batch(run, metrics=some_metrics)
    for file in files:
        client.log_artifact(run, str(file))


def _mark_latest(client: MlflowClient, experiment: str, name: str, run: str) -> None:
    """Take the tag `latest` from older runs of the same stage, which would show up as doubles."""
    same = f"attributes.run_name = '{name}' and tags.latest = 'true'"
    for older in client.search_runs([experiment], same):
        client.set_tag(older.info.run_id, "latest", "false")
    client.set_tag(run, "latest", "true")


def _batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))
