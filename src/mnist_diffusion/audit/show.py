"""A cell in one screen, and two cells side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mnist_diffusion.audit.auditor import chosen_cells
from mnist_diffusion.audit.chain import differences
from mnist_diffusion.evaluation.metrics import METRICS, values
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.pipeline import MANIFEST
from mnist_diffusion.provenance.digests import content_digest
from mnist_diffusion.provenance.schemas.artifact import load
from mnist_diffusion.provenance.schemas.cell_reports import CellMetrics
from mnist_diffusion.provenance.schemas.manifest import SampleManifest
from mnist_diffusion.runtime.errors import UserError, in_one_line

SHOWN = 12
"""Digits of a digest that people read."""
UNKNOWN = "unknown"


OneCell = Annotated[str, typer.Argument(help="An entry of `cells` in params.yaml.")]


def show(cell: OneCell) -> None:
    """Tell on one screen what made a cell and how it scored."""
    [cell] = chosen_cells([cell])
    table = Table(box=None, show_header=False, pad_edge=False)
    for key, value in _facts(cell, _manifest(cell)).items():
        table.add_row(f"[bold]{key}[/]", escape(value))
    Console(highlight=False).print(table)


def diff(
    one: OneCell, other: Annotated[str, typer.Argument(help="The cell to compare it with.")]
) -> None:
    """Tell which parameters and scores differ between two cells."""
    chosen_cells([one, other])
    table = Table("", one, other, box=None, pad_edge=False)
    for key, *both in differences(_made_and_scored(one), _made_and_scored(other)):
        table.add_row(key, *(escape(_text(value)) for value in both))
    if not table.row_count:
        table.add_row("nothing differs", "", "")
    Console(highlight=False).print(table)


def _facts(cell: str, content: Mapping[str, Any]) -> dict[str, str]:
    code, parameters = content["code"], content["parameters"]
    training = parameters["training"]
    digests = {**content["inputs"], **content["outputs"]}
    timing = paths.timing("sample", cell)
    made = read_json(timing) if timing.is_file() else {}
    try:
        judgement = _judgement(cell)
        scores = _listed(_scores(judgement)) if judgement else UNKNOWN
    except UserError as error:
        scores = str(error)
    return {
        "cell": f"{cell}, in {paths.samples(cell)}",
        "scores": scores,
        "drawn with": _listed({**parameters["cell"], **parameters["sample"]}),
        "trained with": _listed({**training["run"], **training["recipe"]}),
        "network calls": f"{content['network_evaluations']} for each image",
        **{key.removesuffix("_sha256"): digest[:SHOWN] for key, digest in digests.items()},
        "when": f"{made.get('finished', UNKNOWN)}, in {made.get('seconds', UNKNOWN)} s",
        "commit": (made.get("git_commit") or UNKNOWN) + ", changed" * bool(made.get("git_dirty")),
        "source": f"{code['sha256'][:SHOWN]}, {len(code['files'])} files",
        "made on": _listed(content["environment"]),
        "MLflow": _where(cell),
    }


def _manifest(cell: str) -> dict[str, Any]:
    """The cell's manifest; UserError if it is not one."""
    shape = load(paths.samples(cell) / MANIFEST, SampleManifest)
    return shape.model_dump(mode="json", by_alias=True)


def _made_and_scored(cell: str) -> dict[str, Any]:
    content, judgement = _manifest(cell), _judgement(cell)
    code, environment = content["code"]["sha256"][:SHOWN], content["environment"]
    scores = values(judgement) if judgement else {}
    return {**content["parameters"], **scores, "source": code, "made on": environment}


def _judgement(cell: str) -> CellMetrics | None:
    """What the networks say of these images, if anything; UserError if it is of others."""
    path = paths.metrics(cell)
    judgement = load(path, CellMetrics) if path.is_file() else None
    images = content_digest(paths.samples(cell) / MANIFEST)
    if judgement and judgement.made_from.get(f"sample@{cell}") != images:
        raise UserError(f"{path}: of other images than are here; run `dvc repro`")
    return judgement


def _scores(judgement: CellMetrics) -> dict[str, str]:
    """By metric, with the intervals of the few that stand for a cell."""
    shown = {}
    for name, value in values(judgement).items():
        metric = METRICS[name]
        ends = [metric.shown(end) for end in judgement.intervals.get(name) or () if metric.summary]
        unit = " %" if metric.percent else ""
        shown[name] = metric.shown(value) + unit + (f" ({' to '.join(ends)})" if ends else "")
    return shown


def _where(cell: str) -> str:
    from mnist_diffusion.tracking.sync import mlflow_differences

    try:
        seen = mlflow_differences("evaluate", cell)
    except Exception as error:
        return f"cannot be asked: {in_one_line(error)}"
    if seen is None:
        return "no run of these images; run `mnist-diffusion track --sync`"
    return f"run {seen[0]}"


def _listed(chosen: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in chosen.items())


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
