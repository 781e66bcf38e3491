"""What each stage has to say in MLflow, from the files that it published and nothing else.

Parameters are flattened here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mnist_diffusion.dataset import mnist
from mnist_diffusion.files import paths
from mnist_diffusion.files.atomic import write_atomically
from mnist_diffusion.files.images import png_bytes, thumbnail
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.pipeline import STAGES
from mnist_diffusion.provenance.digests import file_digest

Scalar = str | int | float | bool | None
Point = tuple[str, float, int]
"""Metric, value, step."""
Json = Mapping[str, Any]

PAGE = paths.REPORTS / "index.html"
SCORES = (
    *("fd", "relative_fd", "fd_floor", "relative_fd_floor", "accuracy", "confidence"),
    *("kid", "precision", "recall", "density", "coverage", "calibration_error"),
)


@dataclass(frozen=True)
class Record:
    """Flat parameters and metrics, tags (digests), histories and small files worth keeping."""

    params: Mapping[str, Scalar] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    history: Sequence[Point] = ()
    artifacts: Sequence[Path] = ()


def record_of(stage: str, name: str | None = None) -> Record:
    """What a stage has published, in MLflow's terms; UserError if it is not there."""
    return RECORDS[stage](name or "")


def _published(stage: str, name: str = "") -> tuple[Path, Any]:
    """The file that tells what a stage made, and its content."""
    path = STAGES[stage].published(name)
    assert path is not None
    return path, read_json(path)


def _report(stage: str) -> tuple[Path, Any]:
    """The JSON beside a stage's folder, and its content."""
    report = STAGES[stage].report
    assert report is not None
    return report(""), read_json(report(""))


def _digests(content: Json) -> dict[str, str]:
    return {key: value for key, value in content.items() if key.endswith("_sha256")}


def _history(folder: Path, step: str, *metrics: str) -> list[Point]:
    rows = pd.read_csv(folder / "history.csv")
    return [
        (metric, float(row[metric]), int(row[step]))
        for _, row in rows.iterrows()
        for metric in metrics
    ]


def _fetch(_: str) -> Record:
    """The digests that the files are known by; wherever they came from, they are the same."""
    return Record(tags={f"output.{name}": digest for name, digest in mnist.SHA256.items()})


def _prepare(_: str) -> Record:
    manifest, content = _published("prepare")
    summary = manifest.with_name("summary.json")
    return Record(
        params=content["parameters"],
        metrics={
            f"{name}_{key}": description[key]
            for name, description in read_json(summary)["splits"].items()
            for key in ("pixel_mean", "pixel_std")
        },
        tags={f"input.{name}": digest for name, digest in mnist.SHA256.items()},
        artifacts=[summary, manifest],
    )


def _classifier(_: str) -> Record:
    (manifest, content), (path, report) = _published("classifier"), _report("classifier")
    digits = {f"accuracy_{k}": v for k, v in report["accuracy_per_class"].items()}
    plain = {key: report[key] for key in ("accuracy", "expected_calibration_error")}
    return Record(
        params=content["parameters"],
        metrics={**plain, **digits},
        tags=_digests(report),
        history=_history(manifest.parent, "epoch", "loss", "validation_accuracy"),
        artifacts=[path, manifest.with_name("config.json"), manifest],
    )


def _autoencoder(_: str) -> Record:
    (manifest, content), (path, report) = _published("autoencoder"), _report("autoencoder")
    return Record(
        params=content["parameters"],
        metrics={key: report[key] for key in ("reconstruction_error", "variance")},
        tags=_digests(report),
        history=_history(manifest.parent, "epoch", "loss", "validation_error"),
        artifacts=[path, manifest.with_name("config.json"), manifest],
    )


def _reference(_: str) -> Record:
    (manifest, content), (path, report) = _published("reference"), _report("reference")
    return Record(
        params=content["parameters"],
        metrics={
            f"floor_{metric}_n{n}": spread["mean"]
            for n, floor in report["floors"].items()
            for metric, spread in floor.items()
            if metric != "fd_per_class"
        },
        tags=_digests(report) | _digests(report["second"]),
        artifacts=[path, manifest],
    )


def _train(run: str) -> Record:
    manifest, content = _published("train", run)
    return Record(
        params={
            **_trained(content["parameters"]),
            "parameters": content["network_parameters"],
            **{f"schedule_{k}": v for k, v in content["schedule"].items() if k != "timesteps"},
        },
        metrics={"final_loss": content["final_loss"]},
        tags=_lineage(content),
        history=_history(manifest.parent, "step", "loss", "gradient_norm", "learning_rate"),
        artifacts=[manifest.with_name(name) for name in ("config.json", "history.csv")]
        + [manifest],
    )


def _lineage(manifest: Json) -> dict[str, str]:
    code = {"code_sha256": manifest["code"]["sha256"]}
    return {**manifest["inputs"], **manifest["outputs"], **code}


def _sample(cell: str) -> Record:
    manifest, content = _published("sample", cell)
    return Record(params=drawn(content), tags=_lineage(content), artifacts=[manifest])


def _trained(parameters: Json) -> dict[str, Scalar]:
    """All that made a denoiser."""
    run, recipe, train = (parameters[key] for key in ("run", "recipe", "train"))
    return {
        **run,
        **{key: value for key, value in train.items() if not isinstance(value, dict)},
        **{f"weighting_{key}": value for key, value in train["weighting"].items()},
        **{f"timesteps_{key}": value for key, value in train["timestep_sampling"].items()},
        **{f"network_{key}": _text(v) for key, v in parameters["network"]["sizes"].items()},
        "recipe_name": run["recipe"],
        **recipe,
    }


def _text(value: Any) -> Scalar:
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def _made(parameters: Json) -> dict[str, Scalar]:
    """All that made a sample set, its run's training in few words."""
    cell, sample, training = (parameters[key] for key in ("cell", "sample", "training"))
    interval = cell["guidance_interval"]
    return {
        **cell,
        "guidance_interval": f"{interval[0]} to {interval[1]}" if interval else "all",
        **{key: value for key, value in sample.items() if key != "seed"},
        **{key: value for key, value in training["run"].items() if key != "seed"},
        "sample_seed": sample["seed"],
        "train_seed": training["run"]["seed"],
        "train_steps": training["recipe"]["steps"],
        **{key: training["recipe"][key] for key in ("batch_size", "ema")},
        "label_dropout": training["train"]["label_dropout"],
    }


def drawn(manifest: Json) -> dict[str, Scalar]:
    """All that made a sample set, and what it amounts to."""
    return {
        **_made(manifest["parameters"]),
        "network_evaluations": manifest["network_evaluations"],
        **{f"schedule_{key}": value for key, value in manifest["schedule"].items()},
    }


def _evaluate(cell: str) -> Record:
    (path, report), (manifest, made) = _published("evaluate", cell), _published("sample", cell)
    return Record(
        params=drawn(made),
        metrics={
            **_scores(report),
            "network_evaluations": made["network_evaluations"],
            "n": report["n"],
        },
        tags={**_digests(report), **_digests(report["second"]), **made["inputs"]},
        artifacts=[_picture(manifest.parent, cell), path],
    )


def _scores(report: Json) -> dict[str, float]:
    """A judgement's numbers under plain names."""
    second, intervals = report["second"], report["intervals"]
    found = {
        **{key: report[key] for key in SCORES},
        **{f"accuracy_{d}": value for d, value in (report["accuracy_per_class"] or {}).items()},
        **{f"relative_fd_{d}": value for d, value in (report["fd_per_class"] or {}).items()},
        **{f"second_{key}": second[key] for key in second if not key.endswith("_sha256")},
        **{f"memorisation_{key}": value for key, value in report["memorisation"].items()},
        **{f"pixels_{key}": value for key, value in report["pixels"].items()},
        **{f"{key}_low": ends[0] for key, ends in intervals.items() if ends},
        **{f"{key}_high": ends[1] for key, ends in intervals.items() if ends},
    }
    return {key: value for key, value in found.items() if value is not None}


def _picture(folder: Path, cell: str) -> Path:
    """A grid of the cell's images, made where nothing depends on it."""
    picture = paths.WORK / "grids" / f"{cell}.png"
    images, labels = (
        np.load(folder / f"{part}.npy", allow_pickle=False) for part in ("images", "labels")
    )
    write_atomically(picture, png_bytes(thumbnail(images, labels)))
    return picture


def _fd_curve(run: str) -> Record:
    path, report = _published("fd_curve", run)
    points = report["points"]
    scalars = {key: value for key, value in report.items() if not isinstance(value, dict | list)}
    return Record(
        params={key: scalars[key] for key in scalars if not key.endswith("_floor")},
        metrics={"relative_fd": points[-1]["relative_fd"]},
        tags={"code_sha256": report["code"]["sha256"]},
        history=[("relative_fd", point["relative_fd"], point["step"]) for point in points],
        artifacts=[path],
    )


def _compare(_: str) -> Record:
    path, report = _published("compare")
    verdicts = [row["verdict"] for row in report["comparisons"]]
    kinds = ("better", "worse", "not distinguishable")
    return Record(
        params={key: report[key] for key in ("level", "resamples")},
        metrics={kind.replace(" ", "_"): verdicts.count(kind) for kind in kinds},
        tags=_digests(report),
        artifacts=[path],
    )


def _trtr(_: str) -> Record:
    path, report = _published("trtr")
    return Record(
        params={"epochs": report["epochs"]},
        metrics={f"accuracy_n{n}": found["accuracy"] for n, found in report["by_n"].items()},
        artifacts=[path],
    )


def _tstr(cell: str) -> Record:
    path, report = _published("tstr", cell)
    return Record(
        params={key: report[key] for key in ("cell", "run", "n", "epochs")},
        metrics={key: report[key] for key in ("accuracy", "real_accuracy")},
        tags=_digests(report),
        artifacts=[path],
    )


def _calibration(_: str) -> Record:
    path, report = _published("calibration")
    return Record(
        params={key: report[key] for key in ("count", "repeats")},
        metrics={
            "blind": sum(row["blind"] for row in report["verdicts"]),
            **{f"floor_{metric}": spread["mean"] for metric, spread in report["floor"].items()},
        },
        artifacts=[path],
    )


def _pages(_: str) -> Record:
    """The page, known by its bytes: what it shows is said by the others."""
    pictures = [paths.FIGURES / "hero.png"]
    return Record(tags={"page_sha256": file_digest(PAGE)}, artifacts=[PAGE, *pictures])


RECORDS: Mapping[str, Callable[[str], Record]] = {
    "fetch": _fetch,
    "prepare": _prepare,
    "classifier": _classifier,
    "autoencoder": _autoencoder,
    "reference": _reference,
    "train": _train,
    "sample": _sample,
    "evaluate": _evaluate,
    "fd_curve": _fd_curve,
    "compare": _compare,
    "trtr": _trtr,
    "tstr": _tstr,
    "calibration": _calibration,
    "report": _pages,
}
