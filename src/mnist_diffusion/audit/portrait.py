"""A cell in one screen, and two cells side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mnist_diffusion.audit.chain import Member
from mnist_diffusion.audit.command import chosen
from mnist_diffusion.audit.declared import NOTHING, differences
from mnist_diffusion.audit.findings import in_words
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.provenance.digests import json_digest
from mnist_diffusion.provenance.schemas.manifest import Manifest
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import ResolvedCell, Sample
from mnist_diffusion.tracking.lookup import latest
from mnist_diffusion.tracking.records import drawn
from mnist_diffusion.tracking.store import tracking_uri

PERCENT = (
    *("relative_fd", "relative_fd_floor", "second_relative_fd", "second_relative_fd_floor"),
    *("accuracy", "confidence"),
)
SCORES = (*PERCENT, "fd", "kid", "precision", "recall", "density", "coverage", "n")
DRAWING = {*ResolvedCell.model_fields, *Sample.model_fields, "sample_seed"}
"""Parameters of the drawing; all others are of the training before it."""
SHOWN = 12
"""Digits of a digest that people read."""
UNKNOWN = "unknown"


def show(cell: str) -> int:
    """Print what a cell was made from, when, by which code, and how it scored; UserError if not."""
    [cell] = chosen([cell], all_=False)
    content = _manifest(cell)
    table = Table(box=None, show_header=False, pad_edge=False)
    for key, value in _facts(cell, content).items():
        table.add_row(f"[bold]{key}[/]", escape(value))
    Console(highlight=False).print(table)
    return 0


def diff(one: str, other: str) -> int:
    """Print the parameters and scores in which two cells differ; UserError if one is not there."""
    for cell in (one, other):
        chosen([cell], all_=False)
    table = Table("", one, other, box=None, pad_edge=False)
    for values in (_made_with, _scores):
        for key, first, second in _ordered(values(one), values(other)):
            table.add_row(key, escape(_text(key, first)), escape(_text(key, second)))
    if not table.row_count:
        table.add_row("nothing differs", "", "")
    Console(highlight=False).print(table)
    return 0


def _facts(cell: str, content: Mapping[str, Any]) -> dict[str, str]:
    code, made = content["code"], _json(paths.timing("sample", cell))
    parameters, inputs = drawn(content), content["inputs"]
    drawing = {key: value for key, value in parameters.items() if key in DRAWING}
    return {
        "cell": f"{cell}: {parameters['count']} images in {paths.samples(cell)}",
        "scores": _judged(cell),
        "drawn with": _listed(drawing),
        "trained with": _listed({k: v for k, v in parameters.items() if k not in DRAWING}),
        "network calls": f"{content['network_evaluations']} for each image",
        "images": _short(content["outputs"]["images_sha256"]),
        "weights": f"{_short(inputs['weights_sha256'])} in {paths.model(str(parameters['run']))}, "
        f"betas {_short(inputs['betas_sha256'])}",
        "data": f"{_short(inputs['train_images_sha256'])} in {paths.PREPARED}, "
        f"labels {_short(inputs['train_labels_sha256'])}",
        "when": f"{made.get('finished', UNKNOWN)}, in {made.get('seconds', UNKNOWN)} s",
        "commit": _commit(made),
        "source": f"{_short(code['sha256'])}, {len(code['files'])} files",
        "made on": ", ".join(f"{k} {v}" for k, v in sorted(content["environment"].items()) if v),
        "MLflow": _where(cell, content),
    }


def _manifest(cell: str) -> dict[str, Any]:
    """The cell's manifest; UserError if it is not one."""
    path = Member("sample", cell).manifest
    content = read_json(path)
    try:
        Manifest.model_validate(content)
    except ValidationError as error:
        key = ".".join(map(str, error.errors()[0]["loc"]))
        text = f"{path}: {key}: not a manifest of this version; run `dvc repro`"
        raise UserError(text) from None
    whole: dict[str, Any] = content
    return whole


def _json(path: Any) -> dict[str, Any]:
    """A JSON file that may be missing."""
    content = read_json(path) if path.is_file() else {}
    return content if isinstance(content, dict) else {}


def _made_with(cell: str) -> dict[str, Any]:
    """Parameters, source and machine; not the cell's own name."""
    content = _manifest(cell)
    return {**drawn(content), "source": _short(content["code"]["sha256"])} | {
        f"made on: {key}": value for key, value in sorted(content["environment"].items())
    }


def _scores(cell: str) -> dict[str, Any]:
    return _known(_report(cell))


def _known(report: Mapping[str, Any]) -> dict[str, Any]:
    second = {f"second_{key}": value for key, value in report.get("second", {}).items()}
    known = {**report, **second}
    return {key: known[key] for key in SCORES if known.get(key) is not None}


def _report(cell: str) -> dict[str, Any]:
    """What the judges said of these images; nothing if they have not, or of others."""
    path = paths.metrics(cell)
    report = _json(path)
    if not report:
        return {}
    try:
        images = report["made_from"][f"sample@{cell}"]
        whole = all(isinstance(report[part], dict) for part in ("intervals", "second"))
    except (KeyError, TypeError):
        whole = False
    if not whole:
        raise UserError(f"{path}: not metrics of this version; run `dvc repro`")
    if images != json_digest(_manifest(cell)):
        raise UserError(f"{path}: tells of other images than are here; run `dvc repro`")
    return report


def _judged(cell: str) -> str:
    """The scores and who gave them, or why there are none."""
    try:
        report = _report(cell)
        scores = ", ".join(_measured(report))
    except UserError as error:
        return str(error)
    if not report:
        return UNKNOWN
    judges = (report["classifier_sha256"], report["second"]["autoencoder_sha256"])
    return f"{scores}; by the networks {' and '.join(map(_short, judges))}"


def _measured(report: Mapping[str, Any]) -> Iterator[str]:
    """The scores, with the intervals of those that have one."""
    intervals = report.get("intervals", {})
    for key, value in _known(report).items():
        ends = [_text(key, end) for end in intervals.get(key) or ()]
        interval = f" ({' to '.join(ends)})" if ends else ""
        yield f"{key} {_text(key, value)}{interval}"


def _ordered(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """What differs, in the order of the first of the two."""
    order = list(dict.fromkeys([*one, *other]))
    return sorted(differences(one, other), key=lambda row: order.index(row[0]))


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {_text(key, value)}" for key, value in values.items())


def _commit(made: Mapping[str, Any]) -> str:
    if not made.get("git_commit"):
        return UNKNOWN
    clean = made.get("git_dirty") is False
    return f"{made['git_commit']}, {'clean' if clean else 'with changes that are not in it'}"


def _where(cell: str, content: Mapping[str, Any]) -> str:
    try:
        seen = latest(cell, content["outputs"]["images_sha256"])
    except Exception as error:
        return f"{tracking_uri()} cannot be asked: {in_words(error)}"
    if seen is None:
        return "no run of these images; run `mnist-diffusion track --sync`"
    return f"experiment {seen.experiment_name} ({seen.experiment}), run {seen.run}"


def _short(digest: str) -> str:
    return digest[:SHOWN]


def _text(key: str, value: Any) -> str:
    if value is NOTHING:
        return "n/a"
    if key in PERCENT:
        return f"{100 * value:.4g} %"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
