"""One run in MLflow: how a record is written, found again, and compared with what is there.

A run is named like its DVC stage (`sample@cosine-class`), without the stage where it is the only
one of its experiment, so that legends read. It is known by the digest of its content. The tag
`latest` is true for the result that an address has now, and false for the earlier ones.
"""

from __future__ import annotations

import json
import math
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_diffusion.files import paths
from mnist_diffusion.pipeline import STAGES
from mnist_diffusion.tracking.records import PICTURE, Record, as_text
from mnist_diffusion.tracking.store import CELLS, PIPELINE, SNAPSHOTS, TRAINING, Store

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, Run

EXPERIMENT_OF = dict.fromkeys(STAGES, PIPELINE)
EXPERIMENT_OF |= {"evaluate": CELLS, "train": TRAINING, "fd_curve": SNAPSHOTS}
CONTENT, LATEST = "content", "latest"
COMMIT = ("git_commit", "git_dirty", "dvc_experiment")
RATES = ("seconds", "images_per_second")
METRICS_PER_BATCH = 1000
PARAMS_PER_BATCH = 100
MOST = 50_000
"""Runs that MLflow gives at once; an address has but one that is the latest."""
LONGEST_DIGEST = 36
"""MLflow refuses longer ones of a dataset; the whole one stands in its source."""

Difference = tuple[str, str, object, object]
"""Kind (param, metric or tag), name, what the files say and what MLflow does."""


def log(opened: Store, record: Record, shown: Iterable[Run]) -> bool:
    """Make a run of a record, unless there is one that says the same: then False.

    Either way it is the latest of its address, and those that were `shown` are not any more.
    Others that say they are of it, halves and false ones, are deleted.
    """
    client, known = opened.client, {run.info.run_id: run for run in shown}
    if not any(is_of(record, run) for run in known.values()):
        same, place = f"tags.{CONTENT} = '{record.content}'", EXPERIMENT_OF[record.stage]
        found = client.search_runs([opened.experiments[place]], same)
        known |= {run.info.run_id: run for run in found}
    good = next((run for run in known.values() if is_of(record, run)), None)
    kept = good.info.run_id if good else _write(opened, record)
    for other in known.keys() - {kept}:
        if known[other].data.tags.get(CONTENT) == record.content:
            client.delete_run(other)
        else:
            client.set_tag(other, LATEST, "false")
    has = good.data.tags if good else record.marks
    for key, value in {**record.marks, LATEST: "true"}.items():
        if has.get(key) != value:
            client.set_tag(kept, key, value)
    return good is None


def is_of(record: Record, run: Run) -> bool:
    """Whether a run is whole and says what the record does."""
    whole = run.info.status == "FINISHED" and run.data.tags.get(CONTENT) == record.content
    return whole and not any(contradictions(record, run))


def contradictions(record: Record, run: Run) -> Iterator[Difference]:
    """What MLflow has beyond the record, its own tags and what somebody added, may stay."""
    for kind, expected in record.data.items():
        for name, value in sorted(expected.items()):
            found = getattr(run.data, f"{kind}s").get(name)
            strange = isinstance(value, float) and not math.isfinite(value)
            if found != value and not (strange and found is not None):  # each store's own way
                yield kind, name, value, "nothing" if found is None else found


def latest(opened: Store) -> dict[str, list[Run]]:
    """The runs that views show, by address; "" for those of others."""
    found = defaultdict(list)
    experiments = list(opened.experiments.values())
    for run in opened.client.search_runs(experiments, f"tags.{LATEST} = 'true'", max_results=MOST):
        stage = STAGES.get(run.data.tags.get("stage", ""))
        found[stage.address(run.data.tags.get(stage.kind)) if stage else ""].append(run)
    return found


def _write(opened: Store, record: Record) -> str:
    """All is logged at once: a killed process leaves half a run, which the next one deletes."""
    timing, client = record.timing, opened.client
    finished = datetime.fromisoformat(timing.finished).timestamp() if timing else time.time()
    end = round(finished * 1000)
    start = end - round(timing.seconds * 1000 if timing else 0)
    kind = EXPERIMENT_OF[record.stage]
    named = record.address if kind == PIPELINE else record.name
    made = {key: as_text(value) for key, value in _of_the_time(record, COMMIT).items()}
    tags = made | record.data["tag"] | {**record.marks, CONTENT: record.content}
    run: str = client.create_run(opened.experiments[kind], start, tags, named).info.run_id
    _write_numbers(opened, run, record, end)
    for file in record.files:
        if file.is_file():
            client.log_artifact(run, str(file))
    for step, picture in record.pictures():
        client.log_image(run, picture, key=PICTURE, step=step, timestamp=end, synchronous=True)
    client.set_terminated(run, "FINISHED", end)
    return run


def _write_numbers(opened: Store, run: str, record: Record, end: int) -> None:
    from mlflow.entities import Metric, Param

    rates = _of_the_time(record, RATES)
    points = [(key, value, 0) for key, value in {**record.metrics, **rates}.items()]
    points += record.history
    metrics = [Metric(key, float(value), end, step) for key, value, step in points]
    params = [Param(key, value) for key, value in record.data["param"].items()]
    for first in range(0, len(params), PARAMS_PER_BATCH):
        opened.client.log_batch(run, params=params[first : first + PARAMS_PER_BATCH])
    for first in range(0, len(metrics), METRICS_PER_BATCH):
        opened.client.log_batch(run, metrics=metrics[first : first + METRICS_PER_BATCH])
    if inputs := _datasets(record):
        opened.client.log_inputs(run, inputs)


def _of_the_time(record: Record, keys: Iterable[str]) -> dict[str, Any]:
    """What is known of the time that a result was made; another time, it differs."""
    timing = record.timing
    return timing.model_dump(include={*keys}, exclude_none=True) if timing else {}


def _datasets(record: Record) -> list[DatasetInput]:
    """The digits that a run was trained on, or the sample set that was judged; else none."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    tag, place, use = {
        "train": ("images_sha256", paths.PREPARED, "training"),
        "evaluate": ("samples_sha256", paths.samples(str(record.name)), "evaluation"),
    }.get(record.stage, ("", Path(), ""))
    if tag not in record.tags:
        return []
    digest = record.tags[tag]
    source = json.dumps({"sha256": digest})
    dataset = Dataset(place.as_posix(), digest[:LONGEST_DIGEST], "local", source)
    return [DatasetInput(dataset, [InputTag("mlflow.data.context", use)])]
