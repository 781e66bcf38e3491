"""What the report shows: every declared run and cell, and what was judged across them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mnist_diffusion.evaluation.metrics import METRICS
from mnist_diffusion.provenance.schemas import (
    cell_reports,
    claim_reports,
    encoder_reports,
    judge_reports,
)
from mnist_diffusion.provenance.schemas.artifact import Spread
from mnist_diffusion.provenance.schemas.manifest import SampleManifest
from mnist_diffusion.provenance.schemas.rank_report import RanksReport
from mnist_diffusion.settings import ResolvedCell, Run, Settings

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
NAN = float("nan")


@dataclass(frozen=True)
class RunResult:
    """One trained denoiser and how its training went."""

    name: str
    settings: Run
    parameters: int
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
    """-1 is the clean digit."""
    seconds: float
    """Wall clock of the training; NaN where no sidecar tells of these very weights."""

    @property
    def schedule_name(self) -> str:
        """A schedule that is brought down to no signal at all is another schedule."""
        ending = ", zero SNR" if self.settings.zero_terminal_snr else ""
        return f"{self.settings.schedule}{ending}"


@dataclass(frozen=True)
class CellResult:
    """One sample set, what made it and how it was judged."""

    name: str
    settings: ResolvedCell
    departures: str
    """What it does otherwise than all cells do; empty if nothing."""
    run: RunResult
    metrics: cell_reports.CellMetrics
    manifest: SampleManifest
    images: Images
    """(n, 28, 28)"""
    labels: Labels
    """(n,), -1 where no digit was asked for"""
    trajectory: Images
    """(frames, k, 28, 28), noise first, the first k images last"""
    seconds: float
    """Wall clock of drawing all n; NaN where no sidecar tells of these very images."""
    threads: int | None
    """How many took these seconds; None where it is unknown."""

    def score(self, metric: str) -> float:
        """By the name of a metric; NaN where it has no value for this cell."""
        value = METRICS[metric].of(self.metrics)
        return NAN if value is None else value

    def interval(self, metric: str) -> tuple[float, float]:
        """(low, high); NaN where there is none."""
        return self.metrics.intervals.get(metric) or (NAN, NAN)

    @property
    def milliseconds(self) -> float:
        """Of drawing one image; NaN where no timing is known."""
        return 1000 * self.seconds / self.metrics.n

    @property
    def asked(self) -> bool:
        """Whether digits were asked for, so that there is an accuracy to speak of."""
        return not np.isnan(self.score("accuracy"))

    @property
    def evaluations(self) -> int:
        """Of the network, per image, counted while drawing: a guided step costs two."""
        return self.manifest.network_evaluations


@dataclass(frozen=True)
class Results:
    """What all pages are made of."""

    settings: Settings
    classifier: judge_reports.ClassifierReport
    reference: judge_reports.ReferenceReport
    runs: dict[str, RunResult]
    cells: dict[str, CellResult]
    compared: cell_reports.ComparisonsReport
    judged: claim_reports.ClaimsReport
    trajectories: claim_reports.TrajectoriesReport
    tstr: dict[str, cell_reports.TstrReport]
    """By cell."""
    fd_curves: dict[str, cell_reports.FdCurveReport]
    """By run, of those that params.yaml names."""
    calibration: judge_reports.CalibrationReport
    ranks: RanksReport
    codecs: dict[str, encoder_reports.FidelityReport]
    clip: encoder_reports.ClipReport
    adherence: dict[str, encoder_reports.AdherenceReport]
    """By cell, of those that params.yaml names,"""
    seams: dict[str, encoder_reports.SeamsReport]
    """and so these."""
    reconstructions: dict[str, Images]
    """By codec, a few digits as they are and as they come back, (2, k, 28, 28)."""
    real_images: Images
    real_labels: Labels

    @property
    def headline(self) -> CellResult:
        """The front page's cell."""
        return self.cells[self.settings.report.headline]

    def baseline(self, metric: str, cell: CellResult | None = None) -> Spread:
        """What random sets of real test digits score that are like a cell's, or the headline's."""
        floors = (cell or self.headline).metrics.floors
        return Spread.model_validate(getattr(floors, metric))

    @property
    def effects(self) -> dict[str, claim_reports.EffectsReport]:
        """What was read from trainings, where something was, in the order of params.yaml."""
        declared = {name: place for place, name in enumerate(self.settings.effects)}
        told = [(name, one) for name, one in self.judged.effects.items() if one.effects]
        return dict(sorted(told, key=lambda pair: declared.get(pair[0], len(declared))))

    @property
    def typical(self) -> CellResult:
        """A cell of the n that most have, asked for digits where the headline is."""
        usual = of_usual_n(list(self.cells.values()))
        alike = (cell for cell in usual if cell.asked == self.headline.asked)
        return next(alike, usual[0])

    def chosen(self, table: str) -> list[CellResult]:
        """The cells of one of params.yaml's tables, in its order."""
        return [self.cells[name] for name in getattr(self.settings.tables, table).cells]


def in_percent(share: float | None) -> float:
    """A fraction in per cent; NaN where there is none."""
    return NAN if share is None else 100 * share


def of_usual_n(cells: list[CellResult]) -> list[CellResult]:
    """Those of as many images as most of them have."""
    usual = Counter(cell.metrics.n for cell in cells).most_common(1)[0][0]
    return [cell for cell in cells if cell.metrics.n == usual]


def one_run_per_schedule(results: Results) -> dict[str, RunResult]:
    """The first declared run of each schedule, by the schedule's name; zero SNR is one more."""
    found: dict[str, RunResult] = {}
    for run in results.runs.values():
        found.setdefault(run.schedule_name, run)
    return found
