"""Reading a cell's run back from MLflow, without making anything there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from mnist_diffusion.tracking.store import CELLS, configure, database_file, tracking_uri

NAME = re.compile(r"[a-z0-9-]+")


@dataclass(frozen=True)
class Seen:
    """A finished run."""

    experiment: str
    """Its id."""
    experiment_name: str
    run: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


def latest(cell: str, images: str) -> Seen | None:
    """The latest finished run of a cell's judgement, of these images by their digest.

    None if there is no such run, or no store. Other errors are the store's.
    """
    if not _exists() or not (NAME.fullmatch(cell) and NAME.fullmatch(images)):
        return None
    configure()
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=tracking_uri())
    experiment = client.get_experiment_by_name(CELLS)
    if experiment is None:
        return None
    wanted = f"tags.cell = '{cell}' and tags.samples_sha256 = '{images}'"
    found = client.search_runs(
        [experiment.experiment_id],
        f"attributes.status = 'FINISHED' and {wanted}",
        max_results=1,
        order_by=["tags.latest DESC", "attributes.end_time DESC"],
    )
    return next((_seen(run) for run in found), None)


def _exists() -> bool:
    """A client makes the database that it does not find."""
    database = database_file(tracking_uri())
    return database is None or (database.is_file() and database.stat().st_size > 0)


def _seen(run: object) -> Seen:
    info, data = run.info, run.data  # type: ignore[attr-defined]
    return Seen(info.experiment_id, CELLS, info.run_id, data.params, data.metrics, data.tags)
