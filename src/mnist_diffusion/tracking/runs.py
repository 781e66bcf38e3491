"""One MLflow run for each result: what a stage made, from what, and how it scored.

Three experiments, each of runs that can be compared with one another, all flat:
- `mnist-diffusion/cells`: evaluate. What made a cell and how it scored, side by side.
- `mnist-diffusion/training`: train. One loss curve a run.
- `mnist-diffusion/pipeline`: the rest, sample included, so that a cell is one row among the cells.

A run is named like its DVC stage (`sample@cosine-class`), without the stage where it is the only
one of its experiment, so that legends read. It is known by the digest of its content, so the same
result is one run, however often and from wherever it is logged. The tag `latest` is true for the
result that an address has now, and false for the earlier ones. All is logged when the stage has
ended: a killed stage leaves no run behind.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mnist_diffusion.tracking import datasets
from mnist_diffusion.tracking.entry import NAME_TAG, Entry, UnusableEntryError
from mnist_diffusion.tracking.record import legal_name
from mnist_diffusion.tracking.store import CELLS, PIPELINE, TRAINING, open_experiment

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

EXPERIMENT_OF = {"evaluate": CELLS, "train": TRAINING}
CONTENT_TAG = "content"
LATEST_TAG = "latest"

METRICS_PER_BATCH = 1000
PARAMS_PER_BATCH = 100

Item = TypeVar("Item")


def log(entry: Entry, files: Sequence[Path]) -> bool:
    """Make a run of an entry and its files, unless there is one of the same content: then False.

    Either way it is the latest of its stage and name. A run that was deleted by hand is made anew.
    UnusableEntryError if MLflow refuses what the entry says; other errors tell of the store.
    """
    client, experiment = open_experiment(EXPERIMENT_OF.get(entry.stage, PIPELINE))
    for earlier in client.search_runs([experiment], f"tags.{CONTENT_TAG} = '{entry.content}'"):
        if earlier.info.status == "FINISHED":
            _mark_latest(client, experiment, entry, earlier.info.run_id)
            return False
        client.delete_run(earlier.info.run_id)  # half a run
    _log(client, experiment, entry, files)
    return True


def latest(client: MlflowClient, experiment: str) -> list[Run]:
    """The runs of an experiment that its first view shows."""
    found: list[Run] = []
    page = None
    while page != "":
        some = client.search_runs([experiment], f"tags.{LATEST_TAG} = 'true'", page_token=page)
        found += some
        page = some.token or ""
    return found


def discard(entry: Entry, run: Run) -> None:
    """Delete a run of an entry that says something else than the entry."""
    client, _ = open_experiment(EXPERIMENT_OF.get(entry.stage, PIPELINE))
    client.delete_run(run.info.run_id)


def retire(client: MlflowClient, run: Run) -> None:
    """Take a run out of the first view."""
    client.set_tag(run.info.run_id, LATEST_TAG, "false")


def delete_halves(client: MlflowClient, experiment: str) -> None:
    """Delete what a killed process or a failing store has left of runs; only for whoever is alone.

    Runs that are not of this module's making stay.
    """
    for run in client.search_runs([experiment], "attributes.status != 'FINISHED'"):
        if CONTENT_TAG in run.data.tags:
            client.delete_run(run.info.run_id)


def _log(client: MlflowClient, experiment: str, entry: Entry, files: Sequence[Path]) -> None:
    from mlflow.exceptions import MlflowException

    alone = entry.stage in EXPERIMENT_OF
    name = entry.name if entry.name and alone else entry.address
    start = entry.end_ms - round((entry.seconds or 0) * 1000)
    tags = {**entry.tags, CONTENT_TAG: entry.content}
    run = client.create_run(experiment, start, tags, name).info.run_id
    try:
        _write(client, run, entry, files)
        client.set_terminated(run, "FINISHED", entry.end_ms)
        _mark_latest(client, experiment, entry, run)
    except BaseException as error:
        with suppress(Exception):
            client.set_terminated(run, "FAILED", entry.end_ms)
        if isinstance(error, MlflowException) and error.error_code == "INVALID_PARAMETER_VALUE":
            raise UnusableEntryError(str(error)) from None
        raise


def _write(client: MlflowClient, run: str, entry: Entry, files: Sequence[Path]) -> None:
    from mlflow.entities import Metric, Param

    totals = dict(entry.metrics)
    if entry.seconds is not None:
        totals["seconds"] = entry.seconds
    if entry.images_per_second is not None:
        totals["images_per_second"] = entry.images_per_second
    points = [(key, value, 0) for key, value in totals.items()] + entry.history
    metrics = [Metric(legal_name(key), value, entry.end_ms, step) for key, value, step in points]
    params = [Param(legal_name(key), value) for key, value in entry.params.items()]
    for some_params in _batches(params, PARAMS_PER_BATCH):
        client.log_batch(run, params=some_params)
    for some_metrics in _batches(metrics, METRICS_PER_BATCH):
        client.log_batch(run, metrics=some_metrics)
    if inputs := datasets.inputs(entry):
        client.log_inputs(run, inputs)
    for file in files:
        client.log_artifact(run, str(file))


def _mark_latest(client: MlflowClient, experiment: str, entry: Entry, run: str) -> None:
    """Give a run the tag `latest`, and take it from others of the address, which would be doubles.

    Found by tags: a run may have been given another name in MLflow.
    """
    same = f"tags.stage = '{entry.stage}' and tags.{LATEST_TAG} = 'true'"
    if entry.name:
        same += f" and tags.{NAME_TAG.get(entry.stage, 'name')} = '{entry.name}'"
    for other in client.search_runs([experiment], same):
        if other.info.run_id != run:
            retire(client, other)
    client.set_tag(run, LATEST_TAG, "true")


def _batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))
