"""One run in MLflow: how a record is written, found again, and compared with what is there.

A run is named like its DVC stage (`sample@cosine-class`), without the stage where it is the only
one of its experiment, so that legends read. It is known by the digest of its content. The tag
`latest` is true for the result that an address has now, and false for the earlier ones.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mnist_diffusion.files import paths
from mnist_diffusion.pipeline import STAGES
from mnist_diffusion.tracking.records import PICTURE, Record, as_text, legal_name, name_tag
from mnist_diffusion.tracking.store import CELLS, PIPELINE, SNAPSHOTS, TRAINING, Store

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, Run

EXPERIMENT_OF = {"evaluate": CELLS, "train": TRAINING, "fd_curve": SNAPSHOTS}
CONTENT, LATEST = "content", "latest"
COMMIT = ("git_commit", "git_dirty", "dvc_experiment")
RATES = ("seconds", "images_per_second")
METRICS_PER_BATCH = 1000
PARAMS_PER_BATCH = 100
LONGEST_DIGEST = 36
"""MLflow refuses longer ones of a dataset; the whole one stands in its source."""

Difference = tuple[str, str, object, object]
"""Kind (param, metric or tag), name, what the files say and what MLflow does."""


def tag_of(table: str) -> str:
    """The tag, true, of the cells of a table of the report."""
    return f"in_{table}"


def log(opened: Store, record: Record) -> bool:
    """Make a run of a record, unless there is one that says the same: then False.

    Either way it is the latest of its address. Others that say they are of it, halves and false
    ones, are deleted.
    """
    experiment = opened.experiments[_kind(record)]
    same = opened.client.search_runs([experiment], f"tags.{CONTENT} = '{record.content}'")
    good = next((run for run in same if is_of(record, run)), None)
    for run in same:
        if run is not good:
            opened.client.delete_run(run.info.run_id)
    _mark_latest(opened, record, good.info.run_id if good else _write(opened, record))
    return good is None


def is_of(record: Record, run: Run) -> bool:
    """Whether a run is whole and says what the record does."""
    whole = run.info.status == "FINISHED" and run.data.tags.get(CONTENT) == record.content
    return whole and not any(contradictions(record, run))


def contradictions(record: Record, run: Run) -> Iterator[Difference]:
    """What MLflow has beyond the record, its own tags and what somebody added, may stay."""
    seen: dict[str, Mapping[str, Any]] = {
        "param": run.data.params,
        "metric": run.data.metrics,
        "tag": run.data.tags,
    }
    for kind, expected in record.data.items():
        for name, value in sorted(expected.items()):
            found = seen[kind].get(name)
            strange = isinstance(value, float) and not math.isfinite(value)
            if found != value and not (strange and found is not None):  # each store's own way
                yield kind, name, value, "nothing" if found is None else found


def latest(opened: Store, kind: str) -> list[Run]:
    """The runs of an experiment that its first view shows."""
    found: list[Run] = []
    page = None
    while page != "":
        some = opened.client.search_runs(
            [opened.experiments[kind]], f"tags.{LATEST} = 'true'", page_token=page
        )
        found += some
        page = some.token or ""
    return found


def address_of(run: Run) -> str | None:
    """Whose run it is; None if none of ours."""
    stage = run.data.tags.get("stage")
    if stage not in STAGES:
        return None
    return STAGES[stage].address(run.data.tags.get(name_tag(stage)))


def _write(opened: Store, record: Record) -> str:
    """All is logged at once: a killed process leaves half a run, which the next one deletes."""
    timing, client = record.timing, opened.client
    finished = datetime.fromisoformat(timing.finished).timestamp() if timing else time.time()
    end = round(finished * 1000)
    start = end - round(timing.seconds * 1000 if timing else 0)
    named = record.name if record.stage in EXPERIMENT_OF else None
    tags = _circumstances(record) | record.data["tag"] | {CONTENT: record.content}
    experiment = opened.experiments[_kind(record)]
    run = client.create_run(experiment, start, tags, named or record.address).info.run_id
    try:
        _write_numbers(opened, run, record, end)
        for file in record.files:
            if file.is_file():
                client.log_artifact(run, str(file))
        for step, picture in record.pictures():
            client.log_image(run, picture, key=PICTURE, step=step, timestamp=end, synchronous=True)
        client.set_terminated(run, "FINISHED", end)
    except BaseException:
        with suppress(Exception):
            client.set_terminated(run, "FAILED", end)
        raise
    return str(run)


def _write_numbers(opened: Store, run: str, record: Record, end: int) -> None:
    from mlflow.entities import Metric, Param

    rates = {key: getattr(record.timing, key, None) for key in RATES}
    known = {key: value for key, value in rates.items() if value is not None}
    points = [(key, value, 0) for key, value in {**record.metrics, **known}.items()]
    points += record.history
    metrics = [Metric(legal_name(key), float(value), end, step) for key, value, step in points]
    params = [Param(key, value) for key, value in record.data["param"].items()]
    for first in range(0, len(params), PARAMS_PER_BATCH):
        opened.client.log_batch(run, params=params[first : first + PARAMS_PER_BATCH])
    for first in range(0, len(metrics), METRICS_PER_BATCH):
        opened.client.log_batch(run, metrics=metrics[first : first + METRICS_PER_BATCH])
    if inputs := _datasets(record):
        opened.client.log_inputs(run, inputs)


def _circumstances(record: Record) -> dict[str, str]:
    """Tags that differ between two times that one result was made."""
    found = {
        "scale": record.scale,
        "mlflow.source.name": f"mnist-diffusion {record.address.replace('@', ' ')}",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": getattr(record.timing, "git_commit", None),
    }
    found |= {key: getattr(record.timing, key, None) for key in COMMIT}
    return {key: as_text(value) for key, value in found.items() if value is not None}


def _datasets(record: Record) -> list[DatasetInput]:
    """The digits that a run was trained on, or the sample set that was judged; else none."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    tag = {"train": "images_sha256", "evaluate": "samples_sha256"}.get(record.stage, "")
    digest = record.tags.get(tag)
    if digest is None:
        return []
    is_train = record.stage == "train"
    place = paths.PREPARED if is_train else paths.samples(record.name or "")
    name = "mnist-train" if is_train else f"samples-{record.name}"
    source = json.dumps({"path": place.as_posix(), "sha256": digest})
    dataset = Dataset(name, digest[:LONGEST_DIGEST], "local", source)
    context = InputTag("mlflow.data.context", "training" if is_train else "evaluation")
    return [DatasetInput(dataset, [context])]


def _mark_latest(opened: Store, record: Record, run_id: str) -> None:
    """Found by tags: a run may have been given another name in MLflow."""
    same = f"tags.stage = '{record.stage}' and tags.{LATEST} = 'true'"
    if record.name:
        same += f" and tags.{name_tag(record.stage)} = '{record.name}'"
    for other in opened.client.search_runs([opened.experiments[_kind(record)]], same):
        if other.info.run_id != run_id:
            opened.client.set_tag(other.info.run_id, LATEST, "false")
    opened.client.set_tag(run_id, LATEST, "true")


def _kind(record: Record) -> str:
    return EXPERIMENT_OF.get(record.stage, PIPELINE)
