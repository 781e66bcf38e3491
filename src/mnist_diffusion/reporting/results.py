"""Everything the report shows, read from the files of exactly the declared runs and cells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.pipeline import MANIFEST
from mnist_diffusion.provenance.digests import json_digest
from mnist_diffusion.reporting import ways
from mnist_diffusion.reporting.evidence import Evidence, load_evidence
from mnist_diffusion.reporting.files import read_array, read_file, read_table
from mnist_diffusion.reporting.measures import CellMetrics
from mnist_diffusion.reporting.shapes import (
    ClassifierReport,
    Floor,
    Noising,
    ReferenceReport,
    RunManifest,
    SampleManifest,
    Timing,
)
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import ResolvedCell, Run, Settings

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class RunResult:
    """One trained denoiser and how its training went."""

    name: str
    settings: Run
    parameters: int
    betas: NDArray[np.float64]
    """(T,)"""
    schedule: pd.DataFrame
    """t, beta, alpha_bar, log_snr; the last is minus infinity where no signal is left."""
    history: pd.DataFrame
    """step, images, loss"""
    epochs: float
    """Passes over the training digits."""
    loss_by_timestep: pd.DataFrame
    """step, bin_start, bin_end, loss"""
    noising: Images
    """One digit from clean to noise: (frames, 28, 28)."""
    noising_timesteps: list[int]
    digest: str | None
    """Of the weights."""
    seconds: float | None
    """Wall clock of the training, where the sidecar tells of these very weights."""


@dataclass(frozen=True)
class CellResult:
    """One sample set, what made it and how it was judged."""

    name: str
    settings: ResolvedCell
    departures: str
    """What it does otherwise than all cells do; empty if nothing."""
    run: RunResult
    metrics: CellMetrics
    manifest: SampleManifest
    images: Images
    """(n, 28, 28)"""
    labels: Labels
    """(n,), -1 where no digit was asked for"""
    trajectory: Images
    """(frames, k, 28, 28), noise first, the first k images last"""
    seconds: float | None
    """Wall clock of drawing all n, where the sidecar tells of these very images."""
    threads: int | None
    """How many took these seconds."""

    @property
    def asks_for_digits(self) -> bool:
        """Whether there is an accuracy to speak of."""
        return self.metrics.accuracy is not None


@dataclass(frozen=True)
class Results:
    """What all pages are made of."""

    settings: Settings
    classifier: ClassifierReport
    reference: ReferenceReport
    runs: dict[str, RunResult]
    cells: dict[str, CellResult]
    evidence: Evidence
    real_images: Images
    real_labels: Labels

    @property
    def headline(self) -> CellResult:
        """The front page's cell."""
        return self.cells[self.settings.report.headline]

    @property
    def floor(self) -> Floor:
        """What real test digits score at the headline's n."""
        return self.reference.floors[str(self.headline.metrics.n)]

    def chosen(self, table: str) -> list[CellResult]:
        """The cells of params.yaml's `report.<table>`, in its order."""
        return [self.cells[name] for name in getattr(self.settings.report, table)]


def load_results(settings: Settings) -> Results:
    """Read the declared runs and cells; UserError names the first file that is missing or wrong."""
    classifier = read_file(paths.CLASSIFIER_REPORT, ClassifierReport)
    reference = read_file(paths.REFERENCE_REPORT, ReferenceReport)
    runs = {name: _read_run(name, settings) for name in settings.runs}
    cells = {name: _read_cell(name, settings, runs) for name in settings.cells}
    results = Results(
        settings=settings,
        classifier=classifier,
        reference=reference,
        runs=runs,
        cells=cells,
        evidence=load_evidence(settings),
        real_images=_images(paths.PREPARED / "test-images.npy"),
        real_labels=_labels(paths.PREPARED / "test-labels.npy"),
    )
    _check_one_judge(results)
    return results


def stray_metrics(settings: Settings) -> list[Path]:
    """Judgements of cells that params.yaml no longer declares: left over from earlier runs."""
    folder = paths.metrics("any").parent
    return [path for path in sorted(folder.glob("*.json")) if path.stem not in settings.cells]


def _read_run(name: str, settings: Settings) -> RunResult:
    folder = paths.model(name)
    history = read_table(folder / "history.csv", ["step", "images", "loss", "gradient_norm"])
    manifest = read_file(folder / "manifest.json", RunManifest)
    timing = _timing("train", name, folder)
    return RunResult(
        name=name,
        settings=settings.runs[name],
        parameters=manifest.network_parameters,
        betas=cast("NDArray[np.float64]", read_array(folder / paths.BETAS, "float64", 1)),
        schedule=read_table(folder / "schedule.csv", ["t", "alpha_bar", "log_snr"]),
        history=history,
        epochs=float(history["images"].iloc[-1]) / settings.prepare.train,
        loss_by_timestep=read_table(
            folder / "loss_by_timestep.csv", ["step", "bin_start", "bin_end", "loss"]
        ),
        noising=_images(folder / "noising.npy"),
        noising_timesteps=read_file(folder / "noising.json", Noising).timesteps,
        digest=manifest.outputs.get("weights_sha256"),
        seconds=timing.seconds if timing else None,
    )


def _read_cell(name: str, settings: Settings, runs: dict[str, RunResult]) -> CellResult:
    folder = paths.samples(name)
    whole = settings.cell(name)
    manifest = read_file(folder / "manifest.json", SampleManifest)
    timing = _timing("sample", name, folder)
    cell = CellResult(
        name=name,
        settings=whole,
        departures=ways.departures(whole, settings.sample),
        run=runs[whole.run],
        metrics=read_file(paths.metrics(name), CellMetrics),
        manifest=manifest,
        images=_images(folder / "images.npy"),
        labels=_labels(folder / "labels.npy"),
        trajectory=_images(folder / "trajectory.npy", dimensions=4),
        seconds=timing.seconds if timing else None,
        threads=timing.threads if timing else None,
    )
    counts = {"images": len(cell.images), "labels": len(cell.labels)}
    for what, count in counts.items():
        _agree(folder / f"{what}.npy", "holds", count, cell.metrics.n)
    _agree(paths.metrics(name), "is of cell", cell.metrics.cell, name)
    drawn = cell.manifest.outputs.get("images_sha256")
    _agree(paths.metrics(name), "judges images", cell.metrics.samples_sha256, drawn)
    _agree(paths.metrics(name), "is of run", cell.metrics.run, cell.settings.run)
    return cell


def _check_one_judge(results: Results) -> None:
    """Numbers of two classifiers must never stand in one table."""
    judge, reference = results.classifier.classifier_sha256, results.reference.reference_sha256
    _agree(paths.REFERENCE_REPORT, "classifier", results.reference.classifier_sha256, judge)
    for name, cell in results.cells.items():
        _agree(paths.metrics(name), "classifier", cell.metrics.classifier_sha256, judge)
        _agree(paths.metrics(name), "reference", cell.metrics.reference_sha256, reference)
    if str(results.headline.metrics.n) not in results.reference.floors:
        cause = f"no floor for n = {results.headline.metrics.n}"
        raise UserError(f"{paths.REFERENCE_REPORT}: {cause}; run `dvc repro`")


def _agree(path: Path, what: str, found: object, expected: object) -> None:
    if found != expected:
        raise UserError(f"{path}: {what} {found}, not {expected}; delete it and run `dvc repro`")


def _timing(stage: str, name: str, folder: Path) -> Timing | None:
    """A sidecar, unless it timed other outputs: DVC may have restored these."""
    path = paths.timing(stage, name)
    if not path.exists():
        return None
    timing = read_file(path, Timing)
    here = json_digest(read_json(folder / MANIFEST))
    return timing if timing.manifest_sha256 == here else None


def _images(path: Path, dimensions: int = 3) -> Images:
    return cast(Images, read_array(path, "uint8", dimensions))


def _labels(path: Path) -> Labels:
    return cast(Labels, read_array(path, "int64", 1))
