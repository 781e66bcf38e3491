"""claims: what training does, and a verdict for every claim, to reports/claims.json."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mnist_diffusion.evaluation.cell_scores import CellScores
from mnist_diffusion.evaluation.claims import judged
from mnist_diffusion.evaluation.effects import Analysis, analysed
from mnist_diffusion.evaluation.evidence import Evidence
from mnist_diffusion.evaluation.identities import Drawn
from mnist_diffusion.evaluation.loss_shares import loss_shares
from mnist_diffusion.evaluation.metrics import METRICS
from mnist_diffusion.files import paths
from mnist_diffusion.provenance.lineage import publish_report, read_manifest, snapshot_inputs
from mnist_diffusion.provenance.schemas.artifact import load
from mnist_diffusion.provenance.schemas.cell_reports import CellMetrics, ComparisonsReport
from mnist_diffusion.provenance.schemas.claim_reports import ClaimsReport, TrajectoriesReport
from mnist_diffusion.provenance.schemas.encoder_reports import (
    AdherenceReport,
    DigitsJudged,
    FidelityReport,
    SeamsReport,
)
from mnist_diffusion.provenance.schemas.judge_reports import ReferenceReport
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import Settings
from mnist_diffusion.settings.messages import suggest


def run(settings: Settings) -> None:
    """Fit what is declared in `effects`, and judge what is declared in `claims`."""
    _check_metrics(settings)
    inputs = snapshot_inputs(__name__, None, settings, parameters, list(_files(settings)))
    cells = {name: load(paths.metrics(name), CellMetrics) for name in settings.cells}
    analyses = _analyses(settings, cells)
    evidence = _evidence(settings, cells, analyses)
    report = {
        "level": settings.evaluate.level,
        "effects": {one.name: one.report(**settings.evaluate.model_dump()) for one in analyses},
        "claims": judged(settings.claims, evidence),
    }
    publish_report(paths.CLAIMS, inputs, ClaimsReport, **report)


def parameters(settings: Settings) -> dict[str, Any]:
    """What is claimed, by which trainings, and how surely."""
    declared = {"claims", "effects", "runs", "cells", "codecs", "adherence", "seams"}
    return settings.model_dump(include=declared) | {"evaluate": settings.evaluate.model_dump()}


def _files(settings: Settings) -> Iterator[Path]:
    yield from map(paths.metrics, settings.cells)
    yield from map(paths.adherence, settings.adherence.cells)
    yield from map(paths.fidelity, settings.codecs)
    yield from map(paths.seams, settings.seams.cells)
    yield from (paths.REFERENCE, paths.COMPARISONS, paths.TRAJECTORIES)
    yield from map(paths.samples, settings.cells)
    yield from map(paths.model, _runs(settings))


def _runs(settings: Settings) -> list[str]:
    """Those that some cell draws: what becomes of a model is seen in a sample set.

    Students have their teacher's schedule, and another loss.
    """
    drawn = dict.fromkeys(cell.run for cell in settings.cells.values())
    return [run for run in drawn if run in settings.runs]


def _analyses(settings: Settings, cells: dict[str, CellMetrics]) -> list[Analysis]:
    runs = {name: settings.denoisers[cell.run] for name, cell in settings.cells.items()}
    return [analysed(name, one, runs, cells) for name, one in settings.effects.items()]


def _evidence(
    settings: Settings, cells: dict[str, CellMetrics], analyses: list[Analysis]
) -> Evidence:
    betas = {run: _betas(run) for run in _runs(settings)}
    reference = load(paths.REFERENCE_REPORT, ReferenceReport)
    return Evidence(
        level=settings.evaluate.level,
        scores=CellScores(cells, load(paths.COMPARISONS, ComparisonsReport).comparisons),
        drawn={
            name: _drawn(settings, name, cells[name])
            for name, cell in settings.cells.items()
            if cell.run in betas
        },
        effects={one.name: one.fits for one in analyses},
        losses={run: _losses(run, betas[run]) for run in betas},
        betas=betas,
        trajectories=load(paths.TRAJECTORIES, TrajectoriesReport),
        real_shares={d: count / reference.n for d, count in reference.n_per_class.items()},
        adherence={c: load(paths.adherence(c), AdherenceReport) for c in settings.adherence.cells},
        fidelity={name: load(paths.fidelity(name), FidelityReport) for name in settings.codecs},
        seams={name: load(paths.seams(name), SeamsReport) for name in settings.seams.cells},
    )


def _drawn(settings: Settings, name: str, judgement: CellMetrics) -> Drawn:
    cell = settings.cells[name]
    return Drawn(
        sampler=cell.sampler,
        steps=cell.steps,
        guidance=cell.guidance,
        conditioning=settings.runs[cell.run].conditioning,
        evaluations=read_manifest(paths.samples(name))["network_evaluations"],
        asked=METRICS["accuracy"].of(judgement) is not None,
    )


def _betas(run: str) -> np.ndarray:
    betas: np.ndarray = np.load(paths.model(run) / paths.BETAS, allow_pickle=False)
    return betas


def _losses(run: str, betas: np.ndarray) -> np.ndarray:
    trained = read_manifest(paths.model(run))["parameters"]
    measured = pd.read_csv(paths.model(run) / "loss_by_timestep.csv")
    return loss_shares(measured, betas, trained["run"]["weighting"], trained["train"]["weighting"])


def _check_metrics(settings: Settings) -> None:
    """UserError for a metric that there is not: `settings` knows none."""
    asked = {f"effects.{name}": one.metric for name, one in settings.effects.items()}
    for name, claim in settings.claims.items():
        asked |= {f"claims.{name}": t.metric for t in claim.tests if hasattr(t, "metric")}
        of_digits = [t for t in claim.tests if t.kind in ("fidelity", "ceiling")]
        for metric in (t.metric for t in of_digits if t.metric not in DigitsJudged.model_fields):
            raise UserError(f"claims.{name}: {metric} of digits that came back is not measured")
    for key, metric in asked.items():
        if metric not in METRICS:
            raise UserError(f"{key}: there is no metric {metric!r}; {suggest(metric, METRICS)}")
