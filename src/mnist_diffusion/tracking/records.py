"""What each stage has to say in MLflow, from the files that it published and nothing else.

Parameters are flattened here and nowhere else.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from mnist_diffusion.dataset import mnist
from mnist_diffusion.evaluation.features import load_cell
from mnist_diffusion.evaluation.metrics import METRICS, values
from mnist_diffusion.files import images, paths
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.pipeline import MANIFEST, STAGES
from mnist_diffusion.provenance.digests import file_digest
from mnist_diffusion.provenance.schemas.manifest import Timing

Scalar = str | int | float | bool | None
Point = tuple[str, float, int]
"""Metric, value, step."""
Picture = tuple[int, Image.Image]
"""Step, and digits to look at."""
Json = Mapping[str, Any]

PAGE = paths.REPORTS / "index.html"
PLAIN = {"cell", "sample", "training", "run", "recipe", "train", "sizes"}
"""Sections whose parameters go by their own names, where these are not taken."""
SOURCES = {"made_from", "code", "environment"}
ASKED = {"guidance", "level"}
"""Numbers of reports that were asked for, not found."""
PICTURE = "digits"
"""What they are called in MLflow."""
IN_TABLE = "in_{}"
"""A tag, of cells: whether they stand in a table of the report."""
KEPT = ("config.json", "history.csv", "summary.json", MANIFEST)
"""Of a folder, where they are there."""
COUNTED = ("network_parameters", "network_evaluations", "schedule")
"""What a manifest says beside its parameters, and counts as one."""


@dataclass(frozen=True)
class Record:
    """What a stage published, and what is known of the time it did."""

    params: Mapping[str, Scalar] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    history: Sequence[Point] = ()
    files: Sequence[Path] = ()
    """Small ones, worth keeping."""
    pictures: Callable[[], Iterable[Picture]] = tuple
    """Digits of the same noise have the same place in all of them."""
    stage: str = ""
    name: str | None = None
    timing: Timing | None = None
    marks: Mapping[str, str] = field(default_factory=dict)
    """Tags that follow params.yaml, and say nothing of the result."""

    @property
    def address(self) -> str:
        return STAGES[self.stage].address(self.name)

    @property
    def data(self) -> dict[str, dict[str, Any]]:
        """What a run of it says in MLflow, by kind; of a metric with a history, the last value."""
        last = {metric: float(value) for metric, value, _ in self.history}
        metrics = {key: float(value) for key, value in self.metrics.items()} | last
        own = {"stage": self.stage, STAGES[self.stage].kind: self.name}
        return {
            "param": {key: as_text(value) for key, value in self.params.items()},
            "metric": metrics,
            "tag": {key: str(value) for key, value in {**own, **self.tags}.items() if value},
        }

    @property
    def content(self) -> str:
        """A digest of what was made, from what and how it scored; not of when, nor of how long."""
        # NaN is fine here: a diverged run is a result too.
        text = json.dumps([self.data, [list(point) for point in self.history]], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def as_text(value: Scalar) -> str:
    """As YAML writes it: true, null."""
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def record_of(stage: str, name: str | None = None) -> Record:
    """What a stage has published, in MLflow's terms; UserError if it is not there."""
    make = RECORDS.get(stage, _manifest if STAGES[stage].folder else _report)
    return replace(make(stage, name or ""), stage=stage, name=name)


def flat(content: Json) -> dict[str, Scalar]:
    """Nested parameters in one row, lists as text."""
    found: dict[str, Scalar] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            for inner, one in flat(value).items():
                is_plain = key in PLAIN and inner not in found
                found[inner if is_plain else f"{key}_{inner}"] = one
        else:
            found[key] = ", ".join(map(str, value)) if isinstance(value, list) else value
    return found


def _params(manifest: Json) -> dict[str, Scalar]:
    """All that made a folder, and what it amounts to."""
    counted = {key: manifest[key] for key in COUNTED if key in manifest}
    return flat(manifest["parameters"]) | flat(counted)


def _published(stage: str, name: str) -> Any:
    """The content of the file that tells what a stage made."""
    path = STAGES[stage].published(name)
    assert path is not None
    return read_json(path)


def _manifest(stage: str, name: str) -> Record:
    """Of a stage with a folder: parameters, digests, history, and the report where it has one."""
    content, place = _published(stage, name), STAGES[stage].folder
    assert place is not None
    beside = _report(stage, name) if STAGES[stage].report else Record()
    made = {**content.get("inputs", {}), **content.get("outputs", {})}
    return replace(
        beside,
        params=_params(content),
        tags={**beside.tags, **made, "code_sha256": content["code"]["sha256"]},
        history=_history(place(name)),
        files=[*beside.files, *(place(name) / file for file in KEPT)],
    )


def _history(folder: Path) -> list[Point]:
    """Every number of a training's table, at its step or epoch, which is the first column."""
    file = folder / "history.csv"
    rows = pd.read_csv(file, index_col=0) if file.is_file() else pd.DataFrame()
    return [
        (str(metric), float(value), int(step))
        for metric, column in rows.drop(columns="images", errors="ignore").items()
        for step, value in zip(rows.index, column, strict=True)
    ]


def _report(stage: str, name: str) -> Record:
    """Of a report: what was found, what was asked for, and digests; no lists."""
    place = STAGES[stage].report
    assert place is not None
    content = {key: value for key, value in read_json(place(name)).items() if key not in SOURCES}
    row = flat({key: value for key, value in content.items() if not isinstance(value, list)})
    tags = {key.rpartition("second_")[2]: str(v) for key, v in row.items() if "_sha256" in key}
    found = {key: v for key, v in row.items() if isinstance(v, float) and key not in ASKED}
    asked = {key: v for key, v in row.items() if "_sha256" not in key and key not in found}
    return Record(asked, found, tags, files=[place(name)])


def _fetch(*_: str) -> Record:
    """The digests that the files are known by; wherever they came from, they are the same."""
    return Record(tags={f"output.{name}": digest for name, digest in mnist.SHA256.items()})


def _train(stage: str, run: str) -> Record:
    loss = _published(stage, run)["final_loss"]
    return replace(_manifest(stage, run), metrics={"final_loss": loss})


def _evaluate(stage: str, cell: str) -> Record:
    report, made, judged = _published(stage, cell), _published("sample", cell), _report(stage, cell)
    counted = {"network_evaluations": made["network_evaluations"], "n": report["n"]}
    return replace(
        judged,
        params=_params(made),
        metrics={**_scores(report), **counted},
        tags={**judged.tags, **made["inputs"]},
        pictures=lambda: [(0, images.thumbnail(*load_cell(cell)))],
    )


def _scores(report: Json) -> dict[str, float]:
    """A judgement's numbers: metrics, what real digits reach, each digit's, ends of intervals."""
    real = {f"{name}_floor": metric.of_real(report) for name, metric in METRICS.items()}
    per_class = {"accuracy": report["accuracy_per_class"], "relative_fd": report["fd_per_class"]}
    ends = {
        key: dict(zip(("low", "high"), pair or (), strict=False))
        for key, pair in report["intervals"].items()
    }
    nested = {key: value for key, value in per_class.items() if value}
    found = {**values(report), **real, **flat(nested), **flat(ends)}
    return {key: float(value) for key, value in found.items() if value is not None}


def _fd_curve(stage: str, run: str) -> Record:
    points = _published(stage, run)["points"]
    history = [
        (metric, float(point[metric]), int(point["step"]))
        for point in points
        for metric in ("fd", "relative_fd")
    ]
    pictures = partial(_snapshots, run, [point["step"] for point in points])
    return replace(_report(stage, run), history=history, pictures=pictures)


def _snapshots(run: str, steps: Sequence[int]) -> Iterable[Picture]:
    """Those that stayed of each snapshot."""
    digits = np.load(paths.snapshots(run), allow_pickle=False)
    for step, kept in zip(steps, digits, strict=True):
        yield step, images.enlarged(images.tiled(images.in_rows(kept, images.DIGITS)), 2)


def _compare(stage: str, name: str) -> Record:
    compared = _published(stage, name)["comparisons"]
    verdicts = Counter(row["verdict"].replace(" ", "_") for row in compared)
    return replace(_report(stage, name), metrics=verdicts)


def _pages(*_: str) -> Record:
    """The page, known by its bytes: the others hold what it shows."""
    return Record(tags={"page_sha256": file_digest(PAGE)}, files=[PAGE])


RECORDS: Mapping[str, Callable[[str, str], Record]] = {
    "fetch": _fetch,
    "train": _train,
    "distill": _train,
    "evaluate": _evaluate,
    "fd_curve": _fd_curve,
    "compare": _compare,
    "report": _pages,
}
"""Stages of which there is more to say than of any; the others need no entry."""
