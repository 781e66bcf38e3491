"""Where MLflow keeps runs: one SQLite file at the repository's root, or MLFLOW_TRACKING_URI.

Any other store than the repository's own may be shared. There the experiments and models of this
clone have its mark in their names, so that no clone changes what another one shows.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import sqlite3
import sys
import uuid
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from filelock import FileLock

from mnist_diffusion.files import paths
from mnist_diffusion.files.atomic import write_atomically
from mnist_diffusion.runtime.errors import in_one_line

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

PROJECT = "mnist-diffusion"
SQLITE = "sqlite:///"
CELLS, TRAINING, SNAPSHOTS, PIPELINE = "cells", "training", "snapshots", "pipeline"
EXPERIMENTS = (CELLS, TRAINING, SNAPSHOTS, PIPELINE)
"""What follows PROJECT in their names."""
NAME_VARIABLE = "MLFLOW_EXPERIMENT_NAME"
"""MLflow's own variable: a name instead of PROJECT, for clones that want to share experiments."""

LIMIT_SECONDS = 120.0
"""How long MLflow may take for one thing; opening it counts to the first."""
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""What MLflow reads when it is imported, unless the user wants it otherwise.

It prints a traceback of each error that it raises, and a dead server would cost minutes.
"""


@dataclass(frozen=True)
class Store:
    """An open store."""

    client: MlflowClient
    experiments: dict[str, str]
    """Ids by what follows the project in their names."""


def root() -> Path:
    """The repository: in the copy that DVC makes for an experiment, still the original."""
    return Path(os.environ.get("DVC_ROOT", "")).resolve()


def tracking_uri() -> str:
    """The store in use. The default is absolute, since a relative one is a new store per folder."""
    path = str(_own_database()).replace("%", "%25").replace("?", "%3F")  # SQLAlchemy unquotes it
    return os.environ.get("MLFLOW_TRACKING_URI") or SQLITE + path


def database_file(uri: str) -> Path | None:
    """The file of an SQLite store; None for any other store."""
    return Path(unquote(uri.removeprefix(SQLITE))) if uri.startswith(SQLITE) else None


def artifacts() -> Path:
    """Where runs of an SQLite store keep their files; a server has its own place."""
    return root() / "mlartifacts"


def project() -> str:
    """What the names of this clone's experiments begin with, and the name of its models."""
    if name := os.environ.get(NAME_VARIABLE):
        return name
    return PROJECT if is_own() else f"{PROJECT}-{_clone()}"


def is_own() -> bool:
    """Whether the store is the repository's own, which nobody else writes."""
    return database_file(tracking_uri()) == _own_database()


def exclusive(patience: float) -> FileLock:
    """Held, it makes this the only process that writes to the store; Timeout after so many seconds.

    Two that meet a fresh database would both make its tables, and one would die.
    """
    place = database_file(tracking_uri()) or root() / paths.WORK / "tracking"
    place.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(place.with_name(f"{place.name}.lock"), patience, fallback_to_soft=False)


def open_store() -> Store:
    """Open the store and make the experiments that it lacks; only for who is alone with it."""
    if is_own():
        _put_aside_if_moved()  # before MLflow opens it
    return Store(client(), {kind: open_experiment(kind)[1] for kind in EXPERIMENTS})


def open_experiment(kind: str) -> tuple[MlflowClient, str]:
    """A client of the store and the id of an experiment, made if it is not there."""
    here, name = client(), f"{project()}/{kind}"
    found = here.get_experiment_by_name(name)
    if found is None:
        place = _place_of(kind) if database_file(tracking_uri()) else None
        # The kind opens the experiment as one of model training, not of chat traces.
        tags = {"mlflow.experimentKind": "custom_model_development"}
        return here, here.create_experiment(name, place, tags)
    if found.lifecycle_stage == "deleted":
        here.restore_experiment(found.experiment_id)
    return here, str(found.experiment_id)


def client() -> MlflowClient:
    """A client of the store."""
    configure()
    from mlflow.tracking import MlflowClient

    uri = tracking_uri()
    opened, database = MlflowClient(uri), database_file(uri)
    with suppress(OSError):  # of a quoted name MLflow makes a folder, too
        if database and str(database) not in uri:
            os.removedirs(Path(uri.removeprefix(SQLITE)).parent)
    return opened


def configure() -> None:
    """Set what MLflow reads on import: no telemetry, no chatter, little patience."""
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    # Where MLflow was imported before us, it did not read the level above.
    for logger in ("alembic", "mlflow", "urllib3"):
        logging.getLogger(logger).setLevel(logging.CRITICAL)


def warn(what: str, cause: Exception) -> None:
    """One line on stderr, however long the cause."""
    sys.stderr.write(f"warning: {what}: {without_password(in_one_line(cause))}\n")


def without_password(text: str) -> str:
    """An address, or words with one, without the password that it may hold."""
    return re.sub(r"//[^/\s@]*@", "//***@", text)


def _own_database() -> Path:
    return root() / "mlflow.db"


def _clone() -> str:
    """A mark of this clone at its place: a copy of it, or what it is after a move, has another."""
    mark = root() / paths.WORK / "clone"
    if not mark.is_file():
        write_atomically(mark, uuid.uuid4().hex)
    return hashlib.sha256(f"{root()} {mark.read_text()}".encode()).hexdigest()[:8]


def _place_of(kind: str) -> str:
    """Where the runs of an experiment keep their files; MLflow writes it down, as it is now."""
    return (artifacts() / kind).as_uri()


def _put_aside_if_moved() -> None:
    """Begin anew where the repository was moved: MLflow would write to the old place."""
    database, aside = _own_database(), root() / paths.WORK / "mlflow-of-another-place"
    found = None
    address = f"{database.as_uri()}?mode=ro"
    with suppress(sqlite3.Error), closing(sqlite3.connect(address, uri=True)) as opened:
        statement = "select artifact_location from experiments where name = ?"
        found = opened.execute(statement, (f"{project()}/{CELLS}",)).fetchone()
    if found is None or found[0] == _place_of(CELLS):
        return
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for path in (database, artifacts()):
        if path.exists():
            path.rename(aside / path.name)
    sys.stderr.write(
        f"warning: {database.name}: is of {found[0]}, so MLflow is made anew from the files; "
        f"the old one lies in {aside.relative_to(root())}\n"
    )
