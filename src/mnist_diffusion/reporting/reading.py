"""Reads the files that a report is made of; each wrong one is refused in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mnist_diffusion.evaluation import metrics
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.pipeline import MANIFEST
from mnist_diffusion.provenance.schemas import (
    cell_reports,
    claim_reports,
    encoder_reports,
    judge_reports,
)
from mnist_diffusion.provenance.schemas.artifact import Shape, load
from mnist_diffusion.provenance.schemas.manifest import (
    DistillManifest,
    SampleManifest,
    TrainManifest,
    timing_of,
)
from mnist_diffusion.provenance.schemas.rank_report import RanksReport
from mnist_diffusion.reporting.labels import departures
from mnist_diffusion.reporting.results import NAN, CellResult, Results, RunResult
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import Settings


def load_results(settings: Settings) -> Results:
    """Read the declared runs and cells; UserError names the first file that is missing or wrong."""
    classifier = load(paths.CLASSIFIER_REPORT, judge_reports.ClassifierReport)
    reference = load(paths.REFERENCE_REPORT, judge_reports.ReferenceReport)
    runs = {name: _read_run(name, settings) for name in settings.runs}
    taught = {name: _read_student(name, settings, runs) for name in settings.students}
    results = Results(
        settings=settings,
        classifier=classifier,
        reference=reference,
        runs=runs,
        cells={name: _read_cell(name, settings, runs | taught) for name in settings.cells},
        compared=load(paths.COMPARISONS, cell_reports.ComparisonsReport),
        judged=load(paths.CLAIMS, claim_reports.ClaimsReport),
        trajectories=load(paths.TRAJECTORIES, claim_reports.TrajectoriesReport),
        tstr=_each(paths.tstr, cell_reports.TstrReport, settings.tstr.cells),
        fd_curves=_each(paths.fd_curve, cell_reports.FdCurveReport, settings.fd_curve.runs),
        calibration=load(paths.CALIBRATION, judge_reports.CalibrationReport),
        ranks=load(paths.RANKS, RanksReport),
        codecs=_each(paths.fidelity, encoder_reports.FidelityReport, settings.codecs),
        clip=load(paths.CLIP_REPORT, encoder_reports.ClipReport),
        adherence=_each(paths.adherence, encoder_reports.AdherenceReport, settings.adherence.cells),
        seams=_each(paths.seams, encoder_reports.SeamsReport, settings.seams.cells),
        reconstructions={
            name: read_array(paths.reconstructions(name), "uint8", 4) for name in settings.codecs
        },
        real_images=read_array(paths.PREPARED / "test-images.npy", "uint8", 3),
        real_labels=read_array(paths.PREPARED / "test-labels.npy", "int64", 1),
    )
    for path, what, found, expected in _facts(results):
        if found != expected:
            raise _wrong(path, f"{what} {found}, not {expected}")
    _check_compared(results)
    return results


def _each(
    path: Callable[[str], Path], shape: type[Shape], names: Iterable[str]
) -> dict[str, Shape]:
    return {name: load(path(name), shape) for name in names}


def _wrong(path: Path, cause: object) -> UserError:
    return UserError(f"{path}: {cause}; delete it and run `dvc repro`")


def stray_metrics(settings: Settings) -> list[Path]:
    """Judgements of cells that params.yaml no longer declares: left over from earlier runs."""
    folder = paths.metrics("any").parent
    return [path for path in sorted(folder.glob("*.json")) if path.stem not in settings.cells]


def _read_run(name: str, settings: Settings) -> RunResult:
    folder = paths.model(name)
    bins = ["step", "bin_start", "bin_end", "loss"]
    return RunResult(
        name=name,
        settings=settings.runs[name],
        parameters=load(folder / MANIFEST, TrainManifest).network_parameters,
        schedule=read_table(folder / "schedule.csv", ["t", "alpha_bar", "log_snr"]),
        loss_by_timestep=read_table(folder / "loss_by_timestep.csv", bins),
        noising=read_array(folder / "noising.npy", "uint8", 3),
        noising_timesteps=read_json(folder / "noising.json")["timesteps"],
        **_training("train", name, settings.prepare.train),
    )


def _read_student(name: str, settings: Settings, runs: dict[str, RunResult]) -> RunResult:
    """A student as a run: its teacher's, in all but how it was taught."""
    student = settings.students[name]
    return replace(
        runs[student.teacher],
        name=name,
        settings=settings.denoisers[name],
        parameters=load(paths.model(name) / MANIFEST, DistillManifest).network_parameters,
        **_training("distill", name, student.trajectories),
    )


def _training(stage: str, name: str, examples: int) -> dict[str, Any]:
    """How a training on so many examples went."""
    history = read_table(paths.model(name) / "history.csv", ["step", "images", "loss"])
    timing = timing_of(stage, name)
    return {
        "history": history,
        "epochs": float(history["images"].iloc[-1]) / examples,
        "seconds": timing.seconds if timing else NAN,
    }


def _read_cell(name: str, settings: Settings, runs: dict[str, RunResult]) -> CellResult:
    folder, resolved = paths.samples(name), settings.cell(name)
    timing = timing_of("sample", name)
    return CellResult(
        name=name,
        settings=resolved,
        departures=departures(resolved, settings.sample),
        run=runs[resolved.run],
        metrics=_read_metrics(paths.metrics(name)),
        manifest=load(folder / MANIFEST, SampleManifest),
        images=read_array(folder / "images.npy", "uint8", 3),
        labels=read_array(folder / "labels.npy", "int64", 1),
        trajectory=read_array(folder / "trajectory.npy", "uint8", 4),
        seconds=timing.seconds if timing else NAN,
        threads=timing.threads if timing else None,
    )


def _read_metrics(path: Path) -> cell_reports.CellMetrics:
    judgement = load(path, cell_reports.CellMetrics)
    try:
        metrics.check(judgement)
    except ValueError as error:
        raise _wrong(path, error) from None
    return judgement


def _facts(results: Results) -> Iterator[tuple[Path, str, object, object]]:
    """What files say of one another, with what they should: names, counts, digests, one judge."""
    judge, reference = results.classifier.classifier_sha256, results.reference.reference_sha256
    yield paths.REFERENCE_REPORT, "classifier", results.reference.classifier_sha256, judge
    for name, cell in results.cells.items():
        path, found = paths.metrics(name), cell.metrics
        drawn = cell.manifest.outputs.get("images_sha256")
        yield paths.samples(name) / "images.npy", "holds", len(cell.images), found.n
        yield paths.samples(name) / "labels.npy", "holds", len(cell.labels), found.n
        yield path, "is of cell", found.cell, name
        yield path, "judges images", found.samples_sha256, drawn
        yield path, "is of run", found.run, cell.settings.run
        yield path, "classifier", found.classifier_sha256, judge
        yield path, "reference", found.reference_sha256, reference
    yield from ((paths.tstr(name), "is of cell", r.cell, name) for name, r in results.tstr.items())
    for name, codec in results.codecs.items():
        yield paths.fidelity(name), "is of codec", codec.codec, name
        yield paths.fidelity(name), "classifier", codec.classifier_sha256, judge
    judged: list[tuple[Path, encoder_reports.AdherenceReport | encoder_reports.SeamsReport]] = [
        *((paths.adherence(name), one) for name, one in results.adherence.items()),
        *((paths.seams(name), one) for name, one in results.seams.items()),
    ]
    for path, told in judged:
        drawn = results.cells[path.stem].metrics.samples_sha256
        yield path, "is of cell", told.cell, path.stem
        yield path, "judges images", told.samples_sha256, drawn
    for name, curve in results.fd_curves.items():
        yield paths.fd_curve(name), "is of run", curve.run, name


def _check_compared(results: Results) -> None:
    n = results.headline.metrics.n
    if str(n) not in results.reference.floors:
        raise UserError(f"{paths.REFERENCE_REPORT}: no floor for n = {n}; run `dvc repro`")
    named = {name for one in results.compared.comparisons for name in (one.cell, one.baseline)}
    if former := sorted(named - set(results.cells)):
        cause = f"compares {former[0]}, which params.yaml does not declare"
        raise UserError(f"{paths.COMPARISONS}: {cause}; run `dvc repro`")


def read_table(path: Path, columns: list[str]) -> pd.DataFrame:
    """Read a CSV that has at least these columns."""
    try:
        frame = pd.read_csv(path)
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run `dvc repro` first") from None
    except ValueError as error:
        raise _wrong(path, f"not CSV ({str(error).splitlines()[0]})") from None
    missing = [column for column in columns if column not in frame]
    if missing or frame.empty:
        raise _wrong(path, f"no column {missing[0]!r}" if missing else "no rows")
    return frame


def read_array(path: Path, dtype: str, dimensions: int) -> NDArray[Any]:
    """Map a .npy file of a known type into memory; pickles are refused."""
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run `dvc repro` first") from None
    except (EOFError, ValueError) as error:
        raise _wrong(path, f"not an array ({error})") from None
    if array.dtype != dtype or array.ndim != dimensions or array.size == 0:
        form = f"{array.dtype} {array.shape}"
        raise _wrong(path, f"is {form}, not {dtype} in {dimensions} dimensions")
    return array
