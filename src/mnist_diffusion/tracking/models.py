"""Trained runs in MLflow's registry: one version for each run as it would be served, no pickle.

A version is known by its weights, by what it does where a request says nothing, and by the source
that draws. What it holds is weights and serve.py; the rest is the package that is installed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.generation.drawing import FILES, WISHES
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.provenance.digests import content_digest, json_digest
from mnist_diffusion.provenance.source import source_digests, source_files
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import Settings
from mnist_diffusion.tracking import store

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

BEST = "best"
ALIAS_OF_RUN = "run-{}"
"""A run's name alone could be a word that MLflow reserves, such as v1."""
RUN_TAG, WEIGHTS_TAG, SERVED_TAG = "run", "weights_sha256", "served_sha256"
ENOUGH = 0.98
RULE = (
    "`best` is the run of the cell with the smallest relative FD among cells of class runs whose "
    f"accuracy is {ENOUGH:.0%} or more"
)
SCRIPT = Path(__file__).with_name("serve.py")
REQUIRED = ("mlflow", "numpy", "pandas", "pillow", "pydantic", "safetensors", "torch")
OUTPUTS = {"request": "long", "digit": "long", "seed": "long", "image": "long", "png": "string"}


def name() -> str:
    """Of the registered model."""
    return re.sub("[/:]", "-", store.project())


def register(client: MlflowClient, trained: Sequence[Run], settings: Settings) -> int:
    """Register what is not there yet, and set the aliases: `run-<run>` for each, `best` for one.

    How many failed, each with one line on stderr; what is wrong with the store is raised.
    """
    runs = [run for run in settings.runs if _is_whole(run)]
    if not runs:
        return 0
    known = _versions(client)
    training = {run.data.tags.get(RUN_TAG): run for run in trained}
    best, failed = best_cell(settings), 0
    aliases: dict[str, str] = {}
    for run in runs:
        try:
            defaults = _defaults(settings, run)
            served = _served(run, defaults)
            found = known.get(served) or _make(client, run, training.get(run), defaults, served)
        except Exception as error:
            failed += 1
            store.warn(f"{run}: is not registered in MLflow, its files are fine", error)
        else:
            aliases[ALIAS_OF_RUN.format(run)] = found
            if best and run == best[0]:
                aliases[BEST] = found
    _set_aliases(client, aliases)
    return failed


def best_cell(settings: Settings) -> tuple[str, str] | None:
    """The run and the cell that RULE names; None if no cell is good enough yet."""
    scores: list[tuple[float, str, str]] = []
    for cell, chosen in settings.cells.items():
        labelled = settings.runs[chosen.run].conditioning == "class"
        if labelled and paths.metrics(cell).is_file():
            judged = read_json(paths.metrics(cell))
            if judged["accuracy"] is not None and judged["accuracy"] >= ENOUGH:
                scores.append((judged["relative_fd"], cell, judged["run"]))
    if not scores:
        return None
    _, best, run = min(scores)
    return run, best


def _is_whole(run: str) -> bool:
    folder = paths.model(run)
    return all((folder / file).is_file() for file in (*FILES, "manifest.json"))


def _defaults(settings: Settings, run: str) -> dict[str, Any]:
    """The headline cell, of this run, what cells share, and where to compute."""
    cell = settings.cell(settings.report.headline).model_dump() | {"run": run}
    if settings.runs[run].conditioning != "class":
        cell |= {"guidance": 0.0, "guide": "label"}
    sections = {"sample": settings.sample, "compute": settings.compute}
    return {"cell": cell} | {name: section.model_dump() for name, section in sections.items()}


def _weights(run: str) -> str:
    digest: str = read_json(paths.model(run) / "manifest.json")["outputs"]["weights_sha256"]
    return digest


def _served(run: str, defaults: Mapping[str, Any]) -> str:
    """A digest of all that decides what is answered."""
    code = source_digests(source_files("mnist_diffusion.tracking.serve"))
    return json_digest([run, _weights(run), _guides(run, defaults), defaults, code])


def _guides(run: str, defaults: Mapping[str, Any]) -> dict[str, str]:
    """The snapshots of a run by path, with their digests, if one guides what is served."""
    if defaults["cell"]["guide"] == "label":
        return {}
    folder = paths.model(run) / checkpoint.SNAPSHOTS
    files: dict[str, str] = read_json(paths.model(run) / "manifest.json")["files"]
    return {path: digest for path, digest in files.items() if Path(path).parent == folder}


def _versions(client: MlflowClient) -> dict[str, str]:
    """The versions there are, by what they serve; makes the registered model if there is none."""
    if not client.search_registered_models(f"name = '{name()}'"):
        client.create_registered_model(name())
    client.update_registered_model(name(), RULE)
    found: dict[str, str] = {}
    page = None
    while page != "":
        some = client.search_model_versions(f"name = '{name()}'", page_token=page)
        ready = (one for one in some if one.status == "READY" and SERVED_TAG in one.tags)
        found = {one.tags[SERVED_TAG]: str(one.version) for one in ready} | found
        page = some.token or ""
    return found


def _make(
    client: MlflowClient, run: str, trained: Run | None, defaults: dict[str, Any], served: str
) -> str:
    """Put the model among the files of its training, and register it; the version's number."""
    weights = _weights(run)
    if trained is None or trained.data.tags.get(WEIGHTS_TAG) != weights:
        raise LookupError("its training is not in MLflow")
    file = paths.model(run) / checkpoint.WEIGHTS
    if content_digest(file) != weights:
        raise UserError(f"{file}: not those that were trained; audit them")
    folder = f"model-{served[:12]}"
    with TemporaryDirectory() as scratch:
        _save(Path(scratch) / folder, run, defaults)
        client.log_artifacts(trained.info.run_id, f"{scratch}/{folder}", folder)
    made = client.create_model_version(
        name(),
        f"{trained.info.artifact_uri}/{folder}",
        trained.info.run_id,
        tags={RUN_TAG: run, WEIGHTS_TAG: weights, SERVED_TAG: served},
        description=run,
        await_creation_for=30,
    )
    return str(made.version)


def _save(target: Path, run: str, defaults: dict[str, Any]) -> None:
    import mlflow.pyfunc
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    # Of whole numbers MLflow would cut 2.5 to 2, and refuse a column with a gap.
    whatever = AnyType()  # type: ignore[no-untyped-call]
    wishes = [ColSpec(whatever, name, required=False) for name in WISHES]
    answers = [ColSpec(kind, name) for name, kind in OUTPUTS.items()]
    needed = [*FILES, checkpoint.SNAPSHOTS] if _guides(run, defaults) else FILES
    example = {"digit": 7} if defaults["cell"]["guidance"] else {"count": 1}
    mlflow.pyfunc.save_model(
        str(target),
        python_model=str(SCRIPT),
        artifacts={file: (paths.model(run) / file).resolve().as_uri() for file in needed},
        model_config=defaults,
        input_example=pd.DataFrame([example]),
        signature=ModelSignature(Schema([*wishes]), Schema([*answers])),
        pip_requirements=[f"{package}=={version(package)}" for package in REQUIRED],
    )


def _set_aliases(client: MlflowClient, wanted: Mapping[str, str]) -> None:
    """Only those that stand elsewhere. Without a `best` there is none."""
    has: dict[str, str] = client.get_registered_model(name()).aliases
    for alias, number in wanted.items():
        if str(has.get(alias)) != number:
            client.set_registered_model_alias(name(), alias, number)
    if BEST in has and BEST not in wanted:
        client.delete_registered_model_alias(name(), BEST)
