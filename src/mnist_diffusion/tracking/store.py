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
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, unquote, urlsplit

from filelock import FileLock, Timeout

from mnist_diffusion.files import paths
from mnist_diffusion.files.atomic import write_atomically

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
}
"""What MLflow reads when it is imported. It prints a traceback of each error that it raises."""
PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""A dead server costs seconds, unless the user asks for more patience in the environment."""

Answer = TypeVar("Answer")


class BusyError(TimeoutError):
    """Another process is logging to the store."""


@dataclass(frozen=True)
class Store:
    """An open store."""

    client: MlflowClient
    experiments: dict[str, str]
    """Ids by what follows the project in their names."""


def root() -> Path:
    """The repository: in the copy that DVC makes for an experiment, still the original."""
    if folder := os.environ.get("DVC_ROOT"):
        return Path(folder).resolve()
    here = Path.cwd()
    above = (folder for folder in (here, *here.parents) if (folder / paths.PARAMS).is_file())
    return next(above, here)


def tracking_uri() -> str:
    """The store in use. The default is absolute, since a relative one is a new store per folder."""
    path = str(_own_database()).replace("%", "%25").replace("?", "%3F")  # SQLAlchemy unquotes it
    own = SQLITE + path
    return os.environ.get("MLFLOW_TRACKING_URI") or own


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


def is_shared() -> bool:
    """Whether other clones may write to the same experiments."""
    return NAME_VARIABLE in os.environ


@contextmanager
def exclusive(patience: float) -> Iterator[None]:
    """Be the only process that writes to the store, or BusyError after so many seconds.

    Two that meet a fresh database would both make its tables, and one would die.
    """
    database = database_file(tracking_uri())
    place = database or root() / paths.WORK / "tracking"
    place.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(place.with_name(f"{place.name}.lock"), patience, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise BusyError("another process is logging to it") from None
    try:
        yield
    finally:
        lock.release()
        with suppress(OSError):  # MLflow makes a folder of the quoted name, too
            if database and str(database) not in tracking_uri():
                os.removedirs(Path(tracking_uri().removeprefix(SQLITE)).parent)


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
        place = (artifacts() / kind).as_uri() if database_file(tracking_uri()) else None
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

    return MlflowClient(tracking_uri=tracking_uri())


def configure() -> None:
    """Set what MLflow reads on import: no telemetry, no chatter, little patience."""
    os.environ.update(ENVIRONMENT)
    for key, value in PATIENCE.items():
        os.environ.setdefault(key, value)
    for logger in ("alembic", "urllib3"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    # Where MLflow was imported before us, it did not read the level above.
    logging.getLogger("mlflow").setLevel(ENVIRONMENT["MLFLOW_LOGGING_LEVEL"])


def within(limit: float, work: Callable[[], Answer]) -> Answer:
    """Do work, or give up on it: some dead stores (a database, a network disk) never answer."""
    answers: list[Answer] = []
    errors: list[Exception] = []

    def attempt() -> None:
        try:
            answers.append(work())
        except Exception as error:
            errors.append(error)

    thread = Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(limit)
    if thread.is_alive():
        raise TimeoutError(f"the store did not finish within {limit:.0f} s")
    if errors:
        raise errors[0]
    return answers[0]


def warn(what: str, cause: Exception) -> None:
    """One line on stderr, however long the cause."""
    sys.stderr.write(f"warning: {what}: {in_short(cause)}\n")


def without_password(text: str) -> str:
    """An address, or words with one, without the password that it may hold."""
    return re.sub(r"//[^/\s@]*@", "//***@", text)


def in_short(cause: Exception) -> str:
    """An error in one line."""
    reason = " ".join(f"{type(cause).__name__}: {cause}".split())
    return without_password(reason)[:200]


def _own_database() -> Path:
    return root() / "mlflow.db"


def _clone() -> str:
    """A mark of this clone at its place: a copy of it, or what it is after a move, has another."""
    mark = root() / paths.WORK / "clone"
    if not mark.is_file():
        write_atomically(mark, uuid.uuid4().hex)
    return hashlib.sha256(f"{root()} {mark.read_text()}".encode()).hexdigest()[:8]


def _put_aside_if_moved() -> None:
    """Begin anew where the repository was moved: MLflow keeps absolute paths, to the old place."""
    database, aside = _own_database(), root() / paths.WORK / "mlflow-of-another-place"
    old = _place_in(database)
    if old is None or old == artifacts():
        return
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for path in (database, artifacts()):
        if path.exists():
            path.rename(aside / path.name)
    sys.stderr.write(
        f"warning: {database.name}: is of {old.parent}, so MLflow is made anew from the files; "
        f"the old one lies in {aside.relative_to(root())}\n"
    )


def _place_in(database: Path) -> Path | None:
    """Where a database keeps the files of our runs; None if it does not tell."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True)) as opened:
            statement = "select artifact_location from experiments where name = ?"
            [(location,)] = opened.execute(statement, (f"{project()}/{CELLS}",))
    except (sqlite3.Error, ValueError):
        return None
    parts = urlsplit(location)
    return Path(unquote(parts.path) if parts.scheme == "file" else location).parent
