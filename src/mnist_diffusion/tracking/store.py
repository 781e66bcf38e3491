"""Where MLflow keeps runs: one SQLite file at the repository's root, or MLFLOW_TRACKING_URI."""

from __future__ import annotations

import fcntl
import logging
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

CELLS = "mnist-diffusion/cells"
TRAINING = "mnist-diffusion/training"
PIPELINE = "mnist-diffusion/pipeline"
EXPERIMENTS = (CELLS, TRAINING, PIPELINE)

LOCK_SECONDS = 60.0
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
}
"""What MLflow reads when it is imported. It prints a traceback of each error that it raises."""
PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""A dead server costs seconds, unless the user asks for more patience in the environment."""


def root() -> Path:
    """The repository: in the copy that DVC makes for an experiment, still the original."""
    if folder := os.environ.get("DVC_ROOT"):
        return Path(folder).resolve()
    found = git("rev-parse", "--show-toplevel")
    return Path(found).resolve() if found else Path.cwd()


def git(*arguments: str) -> str | None:
    """What a git command prints, or None where there is no git or no repository."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def tracking_uri() -> str:
    """The store in use. The default is absolute, since a relative one is a new store per folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root() / 'mlflow.db'}"


def artifacts() -> Path:
    """Where runs of an SQLite store keep their files; a server has its own place."""
    return root() / "mlartifacts"


def open_experiment(name: str) -> tuple[MlflowClient, str]:
    """A client of the store and the id of an experiment, made if it is not there.

    One process at a time: two that meet a fresh database both try to make its tables, and one dies.
    """
    configure()
    from mlflow.tracking import MlflowClient

    uri = tracking_uri()
    with _one_at_a_time(uri):
        client = MlflowClient(tracking_uri=uri)
        return client, _experiment_id(client, name, uri)


def configure() -> None:
    """Set what MLflow reads on import: no telemetry, no chatter, little patience."""
    os.environ.update(ENVIRONMENT)
    for key, value in PATIENCE.items():
        os.environ.setdefault(key, value)
    for logger in ("alembic", "urllib3"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    # Where MLflow was imported before us, it did not read the level above.
    logging.getLogger("mlflow").setLevel(ENVIRONMENT["MLFLOW_LOGGING_LEVEL"])


def _experiment_id(client: MlflowClient, name: str, uri: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        place = artifacts() / name.rpartition("/")[2] if database_file(uri) else None
        # The kind opens the experiment as one of model training, not of chat traces.
        tags = {"mlflow.experimentKind": "custom_model_development"}
        return client.create_experiment(name, str(place) if place else None, tags)
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def database_file(uri: str) -> Path | None:
    """The file of an SQLite store; None for any other store."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


@contextmanager
def _one_at_a_time(uri: str) -> Iterator[None]:
    """Hold a lock beside an SQLite store; TimeoutError after a minute. Servers have their own."""
    database = database_file(uri)
    if database is None:
        yield
        return
    lock = database.with_name(f"{database.name}.lock")
    with lock.open("w") as file:
        _wait_for(file.fileno(), lock)
        yield


def _wait_for(descriptor: int, lock: Path) -> None:
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{lock} was held for {LOCK_SECONDS:.0f} s") from None
            time.sleep(0.1)
