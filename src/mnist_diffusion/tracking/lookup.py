"""Reading a cell's run back from MLflow, without making anything there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mnist_diffusion.tracking.agreement import Said, said_by
from mnist_diffusion.tracking.store import CELLS, TRAINING, configure, database_file, tracking_uri

if TYPE_CHECKING:
    from mlflow.entities import Run

NAME = re.compile(r"[a-z0-9-]+")


@dataclass(frozen=True)
class Seen:
    """A finished run."""

    experiment: str
    """Its id."""
    experiment_name: str
    run: str
    said: Said


def latest(cell: str, images: str) -> Seen | None:
    """The latest finished run of a cell's judgement, of these images by their digest; see below."""
    return _latest(CELLS, cell=cell, samples_sha256=images)


def latest_training(run: str, weights: str) -> Seen | None:
    """The same of a run's training, which gave these weights."""
    return _latest(TRAINING, run=run, weights_sha256=weights)


def _latest(experiment_name: str, **tags: str) -> Seen | None:
    """The latest finished run that has these tags.

    None if there is no such run, or no store. Other errors are the store's.
    """
    if not _exists() or not all(map(NAME.fullmatch, tags.values())):
        return None
    configure()
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=tracking_uri())
    experiment = client.get_experiment_by_name(experiment_name)
    if experiment is None:
        return None
    wanted = " and ".join(f"tags.{key} = '{value}'" for key, value in tags.items())
    found = client.search_runs(
        [experiment.experiment_id],
        f"attributes.status = 'FINISHED' and {wanted}",
        max_results=1,
        order_by=["tags.latest DESC", "attributes.end_time DESC"],
    )
    return next((_seen(run, experiment_name) for run in found), None)


def _exists() -> bool:
    """A client makes the database that it does not find."""
    database = database_file(tracking_uri())
    return database is None or (database.is_file() and database.stat().st_size > 0)


def _seen(run: Run, experiment_name: str) -> Seen:
    return Seen(run.info.experiment_id, experiment_name, run.info.run_id, said_by(run))
