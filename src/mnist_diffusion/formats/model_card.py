"""README.md of a model as Hugging Face has it: what it is, and how well it draws, in front matter.

All of it is read from the model's manifest and from the judgements of the cells that draw from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dvc.utils.flatten import flatten
from dvc.utils.serialize import dumps_yaml

from mnist_diffusion.evaluation.metrics import METRICS, Metric
from mnist_diffusion.files import paths
from mnist_diffusion.formats.citation import Citation
from mnist_diffusion.formats.onnx_files import Function
from mnist_diffusion.pipeline import STAGES
from mnist_diffusion.provenance.lineage import read_manifest
from mnist_diffusion.provenance.schemas.artifact import load
from mnist_diffusion.provenance.schemas.cell_reports import CellMetrics
from mnist_diffusion.settings import Settings

SHOWN = [metric for metric in METRICS.values() if metric.summary]
MNIST: dict[str, Any] = {"type": "ylecun/mnist", "name": "MNIST"}
READING = """\
Relative FD is the Fréchet distance between the features of drawn and of real digits under a network
trained on MNIST, divided by the variance of the real ones: it is no Inception FID. Intervals are of
{level:.0%} and over images: they say nothing of other trainings."""


Judged = Mapping[str, Mapping[str, CellMetrics]]
"""Judgements by cell, for each address that cells were made from."""


def judgements(settings: Settings) -> Judged:
    """Of all cells, by the manifests of their sample sets; UserError if one is not whole."""
    found: dict[str, dict[str, CellMetrics]] = {}
    for cell in settings.cells:
        judged = load(paths.metrics(cell), CellMetrics)
        for address in read_manifest(paths.samples(cell))["made_from"]:
            found.setdefault(address, {})[cell] = judged
    return found


def model_card(
    manifest: Mapping[str, Any],
    judged: Mapping[str, CellMetrics],
    files: Mapping[str, Function],
    citation: Citation,
) -> str:
    """The whole file; `files` are the ONNX files beside it."""
    stage = STAGES[manifest["stage"]]
    address = stage.address(manifest["name"])
    front = dumps_yaml(_front_matter(address, judged, citation))
    parameters = flatten(manifest["parameters"])
    sections = [
        f"# {citation.title}: {address}",
        stage.summary,
        "## Files\n\n" + "\n".join(_called(file, one) for file, one in files.items()),
        *_scores(judged),
        "## What decided it\n\n" + _table(("parameter", "value"), parameters.items()),
        "## What it was made from\n\n" + _table(("stage", "digest"), manifest["made_from"].items()),
        "## Where\n\n" + _table(("", ""), manifest["environment"].items()),
        f"{citation.authors}; {citation.licence} licence.",
    ]
    return f"---\n{front}---\n" + "\n\n".join(sections) + "\n"


def _front_matter(
    address: str, judged: Mapping[str, CellMetrics], citation: Citation
) -> dict[str, Any]:
    front: dict[str, Any] = {
        "license": citation.licence.lower(),
        "library_name": "mnist-diffusion",
        "tags": ["diffusion", "mnist", "onnx"],
        "datasets": [MNIST["type"]],
    }
    results: list[dict[str, Any]] = [
        {
            "task": {"type": "unconditional-image-generation"},
            "dataset": {**MNIST, "config": cell},
            "metrics": [
                {"type": metric.name, "name": metric.title, "value": value}
                for metric in SHOWN
                if (value := metric.of(judgement)) is not None
            ],
        }
        for cell, judgement in judged.items()
    ]
    if results:
        front["pipeline_tag"] = "unconditional-image-generation"
        front["model-index"] = [{"name": address, "results": results}]
    return front


def _called(file: str, function: Function) -> str:
    shapes = (f"{key} {('n', *one.shape[1:])}" for key, one in function.inputs.items())
    return f"- `{file}`: {', '.join(shapes)} → {', '.join(function.outputs)}".replace("'n'", "n")


def _scores(judged: Mapping[str, CellMetrics]) -> Iterator[str]:
    if not judged:
        return
    head = ("cell", "n", *(f"{m.title}{', %' if m.percent else ''}" for m in SHOWN))
    rows = [
        (cell, one.n, *(_score(metric, one) for metric in SHOWN)) for cell, one in judged.items()
    ]
    level = next(iter(judged.values())).level
    yield f"## How well it draws\n\n{_table(head, rows)}\n\n{READING.format(level=level)}"


def _score(metric: Metric, judgement: CellMetrics) -> str:
    value, ends = metric.of(judgement), judgement.intervals.get(metric.name)
    if value is None:
        return ""
    within = f" ({metric.shown(ends[0])} to {metric.shown(ends[1])})" if ends else ""
    return metric.shown(value) + within


def _table(head: Sequence[str], rows: Any) -> str:
    lines = [head, ["--"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
