"""A small but complete tree of artifacts, as if the stages before the report had run."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import fake_evidence
import numpy as np
import pandas as pd
import pytest
from fake_evidence import filled
from PIL import Image, ImageDraw, ImageFont
from smoke_scale import RUN

from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import write_json
from mnist_diffusion.files.yamlfile import read_yaml
from mnist_diffusion.provenance.digests import json_digest
from mnist_diffusion.provenance.schemas.cell_reports import CellMetrics
from mnist_diffusion.provenance.schemas.judge_reports import ClassifierReport, ReferenceReport
from mnist_diffusion.provenance.schemas.manifest import Card, SampleManifest, Timing, TrainManifest
from mnist_diffusion.reporting.reading import load_results
from mnist_diffusion.reporting.results import Results
from mnist_diffusion.settings import ResolvedCell, Run, Settings, parse_settings

PARAMS = Path(__file__).parents[2] / "params.yaml"
CELLS = [
    "linear-uncond",
    "linear-class",
    "cosine-class-v",
    "source-uncond",
    "cosine-class-v-ddim10",
    "cosine-class-v-g2",
    "cosine-class-zero-snr",
    "cosine-class-v-dpm10",
    "cosine-class-v-dpm10-leading",
]
TIMESTEPS = 1000
SOURCE = {"schedule": "linear", "network": "simple", "recipe": "source", "prediction": "epsilon"}
RUNS: dict[str, dict[str, Any]] = {
    "linear-uncond": {**RUN, "schedule": "linear", "conditioning": "uncond"},
    "linear-class": {**RUN, "schedule": "linear"},
    "cosine-class": RUN,
    "cosine-class-v": {**RUN, "weighting": "v"},
    "source-uncond": {**RUN, **SOURCE, "conditioning": "uncond", "timestep_sampling": "uniform"},
    "cosine-class-p2": {**RUN, "weighting": "p2"},
    "cosine-class-min-snr": {**RUN, "weighting": "min-snr"},
    "cosine-class-importance": {**RUN, "timestep_sampling": "importance"},
    "cosine-class-epsilon": {**RUN, "prediction": "epsilon"},
    "cosine-class-x0": {**RUN, "prediction": "x0"},
    "cosine-class-zero-snr": {**RUN, "zero_terminal_snr": True, "weighting": "v"},
}
"""Of the tests, whatever params.yaml declares."""
ABLATIONS = [name for name in RUNS if name.startswith("cosine-class")]
DRAWN = {"sampler": "dpm-solver-2", "steps": 20, "eta": 0.0, "guidance": 1.0}
V, G4 = {**DRAWN, "run": "cosine-class-v"}, {"guidance": 4.0}
VARIANTS: dict[str, dict[str, Any]] = {
    "ddim10": {"sampler": "ddim", "steps": 10},
    "g2": {"guidance": 2.0},
    "g4": G4,
    "dpm10": {"steps": 10},
    "dpm10-leading": {"steps": 10, "spacing": "leading"},
    "g4-interval": {**G4, "guidance_interval": [0.2, 2.0]},
    "g4-rescale": {**G4, "guidance_rescale": 0.7},
    "g4-dynamic": {**G4, "x0_bound": "dynamic"},
}
CHOICES = [
    f"cosine-class-v-{name}"
    for name in ("g4-interval", "dpm10", "dpm10-leading", "g4", "g4-rescale", "g4-dynamic")
]
"""In no good order."""
CELLS_OF_ALL: dict[str, dict[str, Any]] = {
    **{
        name: {**DRAWN, "run": name} | ({"guidance": 0.0} if "uncond" in name else {})
        for name in RUNS
    },
    **{f"cosine-class-v-{name}": {**V, **changed} for name, changed in VARIANTS.items()},
}


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


JUDGE, REFERENCE = fake_evidence.JUDGE, _digest("reference")


def small_settings() -> Settings:
    """The settings of `small_content`, checked."""
    return parse_settings(small_content(), "params.yaml")


def whole_content() -> dict[str, Any]:
    """The real params.yaml with the runs and cells of the tests."""
    content = read_yaml(PARAMS)
    content["runs"] = {name: dict(run) for name, run in RUNS.items()}
    content["cells"] = {name: dict(cell) for name, cell in CELLS_OF_ALL.items()}
    content["students"] = {}
    content["adherence"]["cells"] = content["seams"]["cells"] = []
    return content


def small_content(count: int = 60) -> dict[str, Any]:
    """The same with a few of these cells and the runs they draw."""
    content = whole_content()
    content["sample"]["count"] = count
    content["reference"]["counts"] = sorted({count, content["fd_curve"]["count"]})
    content["cells"] = {name: content["cells"][name] for name in CELLS}
    drawn = {cell["run"] for cell in content["cells"].values()}
    content["runs"] = {name: run for name, run in content["runs"].items() if name in drawn}
    content["report"] = {"headline": "cosine-class-v-g2"}
    content["tables"] = tables(
        schedules=["linear-uncond", "source-uncond", "linear-class", "cosine-class-v"],
        samplers=["cosine-class-v", "cosine-class-v-ddim10"],
        guidance=["cosine-class-v", "cosine-class-v-g2"],
        ablations=["cosine-class-v", "cosine-class-zero-snr"],
        choices=["cosine-class-v-dpm10", "cosine-class-v-dpm10-leading"],
        spaces=["cosine-class-v"],
        students=["cosine-class-v"],
    )
    content["tstr"]["cells"] = ["cosine-class-v", "cosine-class-v-g2"]
    return fitted(content)


def choices_content() -> dict[str, Any]:
    """The same with training choices and sampling choices."""
    whole, small = whole_content(), small_content()
    names = [*small["cells"], *ABLATIONS, *CHOICES]
    small["cells"] = {name: whole["cells"][name] for name in names}
    drawn = [cell["run"] for cell in small["cells"].values()]
    small["runs"] = {name: run for name, run in whole["runs"].items() if name in drawn}
    small["tables"] |= tables(ablations=ABLATIONS, choices=CHOICES)
    return small


def add_seed(content: dict[str, Any], run: str, seed: int) -> None:
    """Another training of a run, drawn as the first is, in the table of schedules."""
    name = f"{run}-s{seed}"
    content["runs"][name] = {**content["runs"][run], "seed": seed}
    content["cells"][name] = {**content["cells"][run], "run": name}
    content["tables"]["schedules"]["cells"].append(name)


def tables(**cells: list[str]) -> dict[str, Any]:
    """Tables of these cells, compared with the first of each."""
    return {name: {"cells": own, "baselines": own[:1]} for name, own in cells.items()}


def fitted(content: dict[str, Any]) -> dict[str, Any]:
    """The same, compared with the first cell of each table, whatever the tables have become."""
    content["tables"] = tables(**{k: table["cells"] for k, table in content["tables"].items()})
    trained = [name for name in content["tstr"]["cells"] if name in content["cells"]]
    asked = [name for name, cell in content["cells"].items() if cell["guidance"] > 0]
    content["tstr"]["cells"] = trained or asked[:1]
    content["fd_curve"]["runs"] = list(content["runs"])
    content["trajectories"]["run"] = next(iter(content["runs"]))
    content["effects"] = {}
    return content


def build(root: Path, settings: Settings) -> None:
    """Write every file that the report reads, below `root`; numbers depend on names alone."""
    _write_shared(root, settings.sample.count)
    for name in settings.codecs:
        shown = np.stack([digits(np.arange(20) // 2, name)] * 2)
        _save(root / paths.reconstructions(name), shown)
    for name in settings.runs:
        _write_run(root, name, settings)
    for name in settings.cells:
        _write_cell(root, name, settings)
    fake_evidence.write(root, settings)


def load(root: Path, patch: pytest.MonkeyPatch, content: dict[str, Any]) -> Results:
    """What the report reads once everything for `content` is built below `root`, now the folder."""
    settings = parse_settings(fitted(content), "params.yaml")
    build(root, settings)
    patch.chdir(root)
    return load_results(settings)


def _random(name: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]))


def digits(labels: np.ndarray, name: str) -> np.ndarray:
    """Typeset digits, shifted and smudged: (n, 28, 28)."""
    random = _random(name)
    images = []
    for label in labels:
        picture = Image.new("L", (28, 28))
        x, y = random.integers(5, 12), random.integers(-3, 3)
        font = ImageFont.load_default(size=26)
        ImageDraw.Draw(picture).text((x, y), str(label), fill=255, font=font)
        turned = picture.rotate(float(random.normal(0, 8)), Image.Resampling.BILINEAR)
        images.append(np.asarray(turned))
    return np.stack(images)


def _noised(clean: np.ndarray, signal: np.ndarray, name: str) -> np.ndarray:
    """Frames of `clean` at falling shares of signal: (frames, *clean.shape)."""
    noise = _random(name).normal(size=clean.shape)
    scaled = clean / 127.5 - 1
    alpha = signal.reshape(-1, *[1] * clean.ndim)
    frames = alpha * scaled + np.sqrt(1 - alpha**2) * noise
    return np.clip((frames + 1) * 127.5, 0, 255).astype(np.uint8)


def _write_shared(root: Path, count: int) -> None:
    labels = np.arange(100) % 10
    _save(root / paths.PREPARED / "test-images.npy", digits(labels, "real"))
    _save(root / paths.PREPARED / "test-labels.npy", labels.astype(np.int64))
    levels = np.linspace(0.05, 0.95, 10)
    confusion = np.diag([98] * 10) + np.diag([2] * 9, 1)
    confusion[9, 8] = 2
    classifier = filled(
        ClassifierReport,
        accuracy=0.9951,
        accuracy_per_class={str(d): 0.99 + d / 1000 for d in range(10)},
        reliability=[
            {"confidence": float(c), "accuracy": float(c**0.9), "count": int(10 * 40**c)}
            for c in levels
        ],
        confusion=confusion.tolist(),
        classifier_sha256=JUDGE,
    )
    write_json(root / paths.CLASSIFIER_REPORT, classifier)
    digests = {"classifier_sha256": JUDGE, "reference_sha256": REFERENCE}
    reference = filled(ReferenceReport, **digests, floors={str(count): fake_evidence.likeness()})
    write_json(root / paths.REFERENCE_REPORT, reference)


def _alphas_bar(run: Run) -> np.ndarray:
    t = np.linspace(0, 1, TIMESTEPS + 1)[1:]
    linear = np.linspace(1e-4, 0.02, TIMESTEPS)
    signal = {
        "cosine": np.clip(np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2, 2e-9, None),
        "linear": np.cumprod(1 - linear),
        "quadratic": np.cumprod(1 - (linear**2 / 0.02 + 1e-4)),
    }[run.schedule]
    return np.where(t < 1, signal, 0.0) if run.zero_terminal_snr else signal


def _write_run(root: Path, name: str, settings: Settings) -> None:
    run, folder = settings.runs[name], root / paths.model(name)
    alphas_bar = _alphas_bar(run)
    with np.errstate(divide="ignore"):
        log_snr = np.log(alphas_bar / (1 - alphas_bar))
    betas = 1 - alphas_bar / np.concatenate([[1.0], alphas_bar[:-1]])
    _save(folder / "betas.npy", betas)
    rows = {"t": np.arange(TIMESTEPS), "beta": betas, "alpha_bar": alphas_bar, "log_snr": log_snr}
    _csv(folder / "schedule.csv", rows)
    steps = np.arange(50, 2801, 50)
    size = float(_random(f"{name} loss").uniform(0.7, 1.4))
    loss = 0.03 + 0.9 * np.exp(-steps / 300) + _random(name).normal(0, 0.002, len(steps))
    _csv(folder / "history.csv", {"step": steps, "images": steps * 64, "loss": size * loss})
    starts = np.arange(0, TIMESTEPS, 100)
    late = {"loss": size * (0.2 * np.exp(-starts / 300) + 0.01)}
    bins = {"step": 2800, "bin_start": starts, "bin_end": starts + 100, **late}
    _csv(folder / "loss_by_timestep.csv", bins)
    resolved = settings.run(name).model_dump()
    write_json(folder / "config.json", resolved)
    moments = np.linspace(99, TIMESTEPS - 1, 10).astype(int)
    signal = np.concatenate([[1.0], np.sqrt(alphas_bar[moments])])
    digit = digits(np.array([5]), "noising")[0]
    _save(folder / "noising.npy", _noised(digit, signal, "noise"))
    write_json(folder / "noising.json", {"timesteps": [-1, *moments.tolist()]})
    manifest = filled(
        TrainManifest,
        name=name,
        parameters=resolved,
        schedule=_card(run),
        inputs={"images_sha256": _digest("images"), "labels_sha256": _digest("labels")},
        outputs={"weights_sha256": _digest(name)},
    )
    write_json(folder / "manifest.json", manifest)
    if name != "source-uncond":
        write_json(root / paths.timing("train", name), _timing(232.4, folder))


def _write_cell(root: Path, name: str, settings: Settings) -> None:
    cell, folder = settings.cells[name], root / paths.samples(name)
    asked = settings.runs[cell.run].conditioning == "class" and cell.guidance > 0
    count = settings.sample.count
    truth = np.arange(count) % 10
    _save(folder / "images.npy", digits(truth, name))
    _save(folder / "labels.npy", (truth if asked else np.full(count, -1)).astype(np.int64))
    kept = digits(truth, name)[: settings.sample.trajectory_images]
    signal = np.linspace(0, 1, cell.steps + 1) ** 1.5
    _save(folder / "trajectory.npy", _noised(kept, signal, name))
    write_json(folder / "manifest.json", _manifest(name, settings))
    write_json(root / paths.metrics(name), _metrics(name, settings, asked))
    timing = _timing(0.1 * cell.steps + 1, folder)
    if name != "cosine-class-v-ddim10":
        write_json(root / paths.timing("sample", name), timing)


def _manifest(name: str, settings: Settings) -> dict[str, Any]:
    cell = settings.cell(name)
    run = settings.runs[cell.run]
    alphas_bar = _alphas_bar(run)
    first = -TIMESTEPS // cell.steps if cell.spacing == "leading" else -1
    signal = float(np.sqrt(alphas_bar[first]))
    moments = np.linspace(TIMESTEPS - 1, -1, cell.steps + 1).astype(int)
    return filled(
        SampleManifest,
        name=name,
        network_evaluations=_evaluations(cell),
        trajectory_timesteps=moments.tolist(),
        parameters={
            "cell": cell.model_dump(),
            "sample": settings.shared(name).model_dump(),
            "training": settings.run(cell.run).model_dump(),
        },
        inputs={
            "weights_sha256": _digest(cell.run),
            "betas_sha256": _digest(f"{run.schedule} {run.zero_terminal_snr}"),
        },
        outputs={"images_sha256": _digest(name)},
        schedule=_card(run) | {"first_step_signal": signal},
    )


def _card(run: Run) -> dict[str, Any]:
    alphas_bar = _alphas_bar(run)
    return filled(
        Card,
        alpha_bar_last=float(alphas_bar[-1]),
        log_snr_max=9.2,
        log_snr_min=None if run.zero_terminal_snr else -10.1,
    )


def _evaluations(cell: ResolvedCell) -> int:
    calls = 2 * cell.steps - 1 if cell.sampler == "heun" else cell.steps
    if cell.guidance in (0, 1):
        return calls
    return calls + (calls // 3 if cell.guidance_interval else calls)


def _timing(seconds: float, folder: Path) -> dict[str, Any]:
    """A sidecar of the stage that made this folder."""
    made = json_digest(json.loads((folder / "manifest.json").read_text()))
    finished = "2024-01-01T00:00:00+00:00"
    return filled(Timing, seconds=seconds, threads=2, finished=finished, manifest_sha256=made)


def _metrics(name: str, settings: Settings, asked: bool) -> dict[str, Any]:
    cell = settings.cells[name]
    relative = 0.01 + 0.004 * abs(cell.guidance - 1.4) + 0.2 / cell.steps
    relative += 0.3 if name.startswith("source") else float(_random(name).uniform(0, 0.004))
    accuracy = 0.9 + 0.0995 * (1 - np.exp(-2 * cell.guidance))
    share = round(settings.sample.count / 10 * accuracy)
    confusion = np.diag([share] * 10)
    confusion[:, 8] += settings.sample.count // 10 - share
    return filled(
        CellMetrics,
        **{"cell": name, "run": cell.run, "n": settings.sample.count},
        accuracy_per_class={str(d): accuracy - d / 1000 for d in range(10)} if asked else None,
        confusion=confusion.tolist() if asked else None,
        **fake_evidence.metrics(relative, accuracy if asked else None, cell.guidance),
        classifier_sha256=JUDGE,
        reference_sha256=REFERENCE,
        samples_sha256=_digest(name),
    )


def change(path: Path, **values: Any) -> None:
    """Replace keys of a JSON file."""
    write_json(path, json.loads(path.read_text()) | values)


def _save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array, allow_pickle=False)


def _csv(path: Path, columns: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(columns).to_csv(path, index=False)
