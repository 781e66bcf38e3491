"""Trained denoisers in MLflow's registry: a version for each as it would be served, no pickle.

A version is known by its weights, by what it does where a request says nothing, and by the source
that draws. What it holds is weights and serve.py; the rest is the package that is installed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from mnist_diffusion.files import paths
from mnist_diffusion.files.atomic import write_atomically
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.formats.onnx_files import onnx_functions
from mnist_diffusion.generation import drawing
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.pipeline import MANIFEST, STAGES
from mnist_diffusion.provenance.digests import content_digest, json_digest
from mnist_diffusion.provenance.source import source_digests, source_files
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import Settings
from mnist_diffusion.tracking import runs, store
from mnist_diffusion.tracking.store import Store

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

BEST = "best"
ALIAS_OF_RUN = "run-{}"
"""Of a student too. The name alone could be a word that MLflow reserves, such as v1."""
RUN_TAG, WEIGHTS_TAG, SERVED_TAG = "run", "weights_sha256", "served_sha256"
ENOUGH = 0.98
RULE = (
    "`best` is the run of the cell with the smallest relative FD∞ among those of sample.count "
    f"images that ask for digits, with an accuracy of {ENOUGH:.0%} or more"
)
ONNX, DENOISER = "onnx", "denoiser.onnx"
SCRIPT = Path(__file__).with_name("serve.py")
REQUIRED = ("mlflow", "numpy", "pandas", "pillow", "pydantic", "safetensors", "torch")


def name() -> str:
    """Of the registered model."""
    return re.sub("[/:]", "-", store.project())


def register(settings: Settings, opened: Store) -> int:
    """Register what is not there yet, and set the aliases: `run-<run>` for each, `best` for one.

    How many failed, each with one line on stderr; what is wrong with the store is raised.
    """
    needed = (*drawing.FILES, MANIFEST)
    whole = [r for r in settings.denoisers if all((paths.model(r) / f).is_file() for f in needed)]
    if not whole:
        return 0
    client, best, trained = opened.client, best_cell(settings), runs.latest(opened)
    known, aliases, failed = _versions(client), dict[str, str](), 0
    for run in whole:
        try:
            defaults = _defaults(settings, run)
            served = _served(run, defaults)
            training = trained[STAGES[_manifest(run)["stage"]].address(run)]
            found = known.get(served) or _make(client, run, training, defaults, served)
        except Exception as error:
            failed += 1
            store.warn(f"{run}: is not registered in MLflow, its files are fine", error)
        else:
            aliases[ALIAS_OF_RUN.format(run)] = found
            if best and run == best[0]:
                aliases[BEST] = found
    has = client.get_registered_model(name()).aliases
    for alias, number in aliases.items():
        if str(has.get(alias)) != number:  # or every sync would write them all
            client.set_registered_model_alias(name(), alias, number)
    if BEST in has and BEST not in aliases:
        client.delete_registered_model_alias(name(), BEST)
    return failed


def best_cell(settings: Settings) -> tuple[str, str] | None:
    """The run and the cell that RULE names; None if no cell is good enough yet."""
    scores: list[tuple[float, str, str]] = []
    for cell, chosen in settings.cells.items():
        if chosen.run not in settings.runs:  # a student, which knows few of the ways to draw
            continue
        labelled = settings.runs[chosen.run].conditioning != "uncond"
        usual = settings.cell(cell).count == settings.sample.count
        if labelled and usual and paths.metrics(cell).is_file():
            judged = read_json(paths.metrics(cell))
            if judged["accuracy"] is not None and judged["accuracy"] >= ENOUGH:
                scores.append((judged["fd_infinity"], cell, judged["run"]))
    _, best, run = min(scores, default=(0.0, "", ""))
    return (run, best) if best else None


def _defaults(settings: Settings, run: str) -> dict[str, Any]:
    """How it draws where nothing is asked, what cells share, and where to compute."""
    cell = drawing.usual_cell(settings, run).model_dump() | {"run": run}
    if settings.denoisers[run].conditioning == "uncond":
        cell |= {"guidance": 0.0, "guide": "label"}
    if settings.denoisers[run].codec:
        cell["x0_bound"] = "none"
    sections = {"sample": settings.sample, "compute": settings.compute}
    return {"cell": cell} | {name: section.model_dump() for name, section in sections.items()}


def _weights(run: str) -> str:
    digest: str = _manifest(run)["outputs"]["weights_sha256"]
    return digest


def _manifest(run: str) -> dict[str, Any]:
    content: dict[str, Any] = read_json(paths.model(run) / MANIFEST)
    return content


def _served(run: str, defaults: Mapping[str, Any]) -> str:
    """A digest of all that decides what is answered."""
    modules = ("mnist_diffusion.tracking.serve", "mnist_diffusion.formats.onnx_files")
    code = source_digests(file for module in modules for file in source_files(module))
    return json_digest([run, _weights(run), _guides(run, defaults), defaults, code])


def _guides(run: str, defaults: Mapping[str, Any]) -> dict[str, str]:
    """The snapshots of a run by path, with their digests, if one guides what is served."""
    if defaults["cell"]["guide"] == "label":
        return {}
    folder = paths.model(run) / checkpoint.SNAPSHOTS
    files: dict[str, str] = _manifest(run)["files"]
    return {path: digest for path, digest in files.items() if Path(path).parent == folder}


def _versions(client: MlflowClient) -> dict[str, str]:
    """The versions there are, by what they serve; makes the registered model if there is none."""
    if not client.search_registered_models(f"name = '{name()}'"):
        client.create_registered_model(name())
    client.update_registered_model(name(), RULE)
    found = client.search_model_versions(f"name = '{name()}'")
    ready = [one for one in found if one.status == "READY"]
    return {one.tags.get(SERVED_TAG, ""): str(one.version) for one in ready}


def _make(
    client: MlflowClient, run: str, trained: list[Run], defaults: dict[str, Any], served: str
) -> str:
    """Put the model among the files of its training, and register it; the version's number."""
    import mlflow.pyfunc

    weights = _weights(run)
    if not trained or trained[0].data.tags.get(WEIGHTS_TAG) != weights:
        raise LookupError("its training is not in MLflow")
    training = trained[0].info
    file = paths.model(run) / checkpoint.WEIGHTS
    if content_digest(file) != weights:
        raise UserError(f"{file}: not those that were trained; audit them")
    folder = f"model-{served[:12]}"
    needed = drawing.parts_of(run) + ([checkpoint.SNAPSHOTS] if _guides(run, defaults) else [])
    with TemporaryDirectory() as scratch:
        mlflow.pyfunc.save_model(
            f"{scratch}/{folder}",
            python_model=str(SCRIPT),
            artifacts={part: (paths.model(run) / part).resolve().as_uri() for part in needed},
            model_config=defaults,
            pip_requirements=[f"{package}=={version(package)}" for package in REQUIRED],
        )
        _add_onnx(Path(scratch, folder), run)
        client.log_artifacts(training.run_id, f"{scratch}/{folder}", folder)
    made = client.create_model_version(
        name(),
        f"{training.artifact_uri}/{folder}",
        training.run_id,
        tags={RUN_TAG: run, WEIGHTS_TAG: weights, SERVED_TAG: served},
        description=run,
        await_creation_for=30,
    )
    return str(made.version)


def _add_onnx(folder: Path, run: str) -> None:
    """Put what the run's networks do beside the model; mlflow.onnx loads the denoiser."""
    from mlflow.models import Model

    for name, function in onnx_functions(paths.model(run)):
        write_atomically(folder / ONNX / name, function.onnx())
    described = folder / "MLmodel"
    model = Model.load(str(described))
    model.add_flavor(
        "onnx",
        onnx_version=version("onnx"),
        data=f"{ONNX}/{DENOISER}",
        providers=["CPUExecutionProvider"],
        onnx_session_options=None,
    )
    model.save(str(described))
