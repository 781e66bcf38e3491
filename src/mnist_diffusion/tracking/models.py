"""Trained runs in MLflow's registry: one version for each run and weights, loadable, no pickle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from mnist_diffusion.tracking import runs, spool
from mnist_diffusion.tracking.flushing import LIMIT_SECONDS, PATIENCE_SECONDS, in_turn, within
from mnist_diffusion.tracking.store import TRAINING, open_experiment

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

MODEL = "mnist-diffusion"
BEST = "best"
ALIAS_OF_RUN = "run-{}"
"""A run's name alone could be a word that MLflow reserves, such as v1."""
RUN_TAG, WEIGHTS_TAG = "run", "weights_sha256"
FOLDER = "model"
"""Among the artifacts of the run."""


@dataclass(frozen=True)
class Candidate:
    """A trained run that wants to be registered."""

    run: str
    weights_sha256: str
    write: Callable[[Path, Path], None]
    """Puts what the model reads, and the package it runs, into two folders."""
    example: Mapping[str, float]
    """A row to ask with."""


@dataclass(frozen=True)
class Package:
    """What is the same for all versions: how they are loaded, and what goes in and comes out."""

    loader: str
    """A module with `_load_pyfunc`."""
    packages: Sequence[str]
    inputs: Sequence[str]
    outputs: Mapping[str, str]


@dataclass
class Counts:
    """How many models MLflow got, had, and did not take."""

    registered: int = 0
    already: int = 0
    failed: int = 0


def register(
    candidates: Sequence[Candidate], best: str | None, description: str, package: Package
) -> Counts:
    """Register what is not there yet, and set the aliases: `run-<run>` for each, `best` for one.

    A version is known by its run and the digest of its weights. Nothing here raises: what fails is
    one line on stderr, and counts as failed.
    """
    counts = Counts()
    try:
        with in_turn(PATIENCE_SECONDS):
            if candidates:
                _register(candidates, best, description, package, counts)
    except Exception as error:
        counts.failed = len(candidates) - counts.registered - counts.already
        spool.warn("models are missing in MLflow, their files are fine", error)
    return counts


def bad_request(message: str) -> MlflowException:
    """What a model raises for a request that it refuses: the server answers 400 and tells it."""
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import BAD_REQUEST

    return MlflowException(message, error_code=BAD_REQUEST)


def _register(
    candidates: Sequence[Candidate],
    best: str | None,
    description: str,
    package: Package,
    counts: Counts,
) -> None:
    client, experiment = within(LIMIT_SECONDS, partial(open_experiment, TRAINING))
    known = within(LIMIT_SECONDS, partial(_versions, client, description))
    trained = {run.data.tags.get(RUN_TAG): run for run in runs.latest(client, experiment)}
    aliases = {}
    for candidate in candidates:
        found = known.get((candidate.run, candidate.weights_sha256))
        try:
            if found is None:
                make = partial(_make, client, candidate, trained.get(candidate.run), package)
                found = within(LIMIT_SECONDS, make)
                counts.registered += 1
            else:
                counts.already += 1
        except Exception as error:
            counts.failed += 1
            spool.warn(f"{candidate.run}: is not registered in MLflow, its files are fine", error)
        else:
            aliases[ALIAS_OF_RUN.format(candidate.run)] = found
            if candidate.run == best:
                aliases[BEST] = found
    within(LIMIT_SECONDS, partial(_set_aliases, client, aliases))


def _versions(client: MlflowClient, description: str) -> dict[tuple[str, str], str]:
    """The versions there are, by run and weights; makes the registered model if there is none."""
    if not client.search_registered_models(f"name = '{MODEL}'"):
        client.create_registered_model(MODEL)
    client.update_registered_model(MODEL, description)
    found: dict[tuple[str, str], str] = {}
    page = None
    while page != "":
        some = client.search_model_versions(f"name = '{MODEL}'", page_token=page)
        for one in some:
            if one.status == "READY":
                key = (one.tags.get(RUN_TAG, ""), one.tags.get(WEIGHTS_TAG, ""))
                found.setdefault(key, str(one.version))
        page = some.token or ""
    return found


def _make(client: MlflowClient, candidate: Candidate, trained: Run | None, package: Package) -> str:
    """Put the model among the files of its run, and register it there; the version's number."""
    digest = candidate.weights_sha256
    if trained is None or trained.data.tags.get(WEIGHTS_TAG) != digest:
        raise LookupError("its training is not in MLflow")
    run = trained.info.run_id
    with TemporaryDirectory() as scratch:
        data, code = Path(scratch) / "denoiser", Path(scratch) / "code"
        data.mkdir()
        candidate.write(data, code)
        model = Path(scratch) / FOLDER
        _save(model, data, code, candidate.example, package)
        client.log_artifacts(run, str(model), FOLDER)
    made: ModelVersion = client.create_model_version(
        MODEL,
        f"{trained.info.artifact_uri}/{FOLDER}",
        run,
        tags={RUN_TAG: candidate.run, WEIGHTS_TAG: digest},
        description=candidate.run,
        await_creation_for=30,
    )
    return str(made.version)


def _save(
    target: Path, data: Path, code: Path, example: Mapping[str, float], package: Package
) -> None:
    import mlflow.pyfunc
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    # Of whole numbers MLflow would cut 2.5 to 2, and refuse a column with a gap.
    whatever = AnyType()  # type: ignore[no-untyped-call]
    wishes = [ColSpec(whatever, name, required=False) for name in package.inputs]
    answers = [ColSpec(kind, name) for name, kind in package.outputs.items()]
    mlflow.pyfunc.save_model(
        str(target),
        loader_module=package.loader,
        data_path=str(data),
        code_paths=[str(folder) for folder in code.iterdir()],
        input_example=pd.DataFrame([example]),
        signature=ModelSignature(Schema([*wishes]), Schema([*answers])),
        pip_requirements=[f"{name}=={version(name)}" for name in ("mlflow", *package.packages)],
    )


def _set_aliases(client: MlflowClient, wanted: Mapping[str, str]) -> None:
    """Only those that stand elsewhere. Without a `best` there is none."""
    has: dict[str, str] = client.get_registered_model(MODEL).aliases
    for alias, number in wanted.items():
        if str(has.get(alias)) != number:
            client.set_registered_model_alias(MODEL, alias, number)
    if BEST in has and BEST not in wanted:
        client.delete_registered_model_alias(MODEL, BEST)
