"""What all tables share: the columns of a cell and of a run, in per cent and seconds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd

from mnist_diffusion.reporting import ways
from mnist_diffusion.reporting.results import CellResult, RunResult
from mnist_diffusion.reporting.table import Column
from mnist_diffusion.reporting.words import LOSSES, OUTPUTS, SAMPLERS, schedule, spread
from mnist_diffusion.settings import Sampling

CELL = Column("cell", "cell", cell="cell")
RELATIVE_FD = Column("relative_fd_percent", "relative FD, %", "{:.2f}", pd.Series.min, "cell")
INTERVAL = Column("relative_fd_interval", "95 %")
ACCURACY = Column("accuracy_percent", "accuracy, %", "{:.1f}", pd.Series.max, "cell")
EVALUATIONS = Column("network_evaluations", "network evaluations", "{:,}")
SAMPLER = Column("sampler", "sampler", names=SAMPLERS)
STEPS = Column("steps", "steps")
OUTPUT = Column("prediction", "network output", names=OUTPUTS)
LOSS = Column("weighting", "loss minimised", names=LOSSES)
TIMESTEPS = Column("timestep_sampling", "timesteps")
SIGNAL = Column("first_step_signal", "signal at first step", "{:.2g}")
SEED = Column("seed", "training seed")
NONE = "–"
DEPARTURES = Column("departures", "otherwise", names={"": NONE})
ACCURACY_OR_NONE = replace(ACCURACY, lacking=NONE)
GUIDANCE = Column("guidance", "guidance s", "{:g}", lacking=NONE)
BOLD = "bold: lowest relative FD and highest accuracy"


def telling(frame: pd.DataFrame, *columns: Column) -> list[Column]:
    """Those of the columns in which rows differ, or in which a cell departs from all others."""
    return [c for c in columns if frame[c.key].nunique() > 1 or (c is DEPARTURES and _any(frame))]


def _any(frame: pd.DataFrame) -> bool:
    return bool(frame["departures"].astype(bool).any())


def measured(cell: CellResult) -> dict[str, Any]:
    """Relative FD and accuracy in per cent, with intervals; NaN where no digit was asked for."""
    accuracy = cell.metrics.accuracy
    low, high = cell.metrics.intervals["relative_fd"] or (float("nan"), float("nan"))
    return {
        "relative_fd_percent": 100 * cell.metrics.relative_fd,
        "relative_fd_low": 100 * low,
        "relative_fd_high": 100 * high,
        "relative_fd_interval": _interval(cell, "relative_fd"),
        "accuracy_percent": float("nan") if accuracy is None else 100 * accuracy,
        "accuracy_interval": _interval(cell, "accuracy"),
    }


def _interval(cell: CellResult, metric: str) -> str:
    ends = cell.metrics.intervals[metric]
    return NONE if ends is None else spread(ends)


def cell_row(cell: CellResult) -> dict[str, Any]:
    """Settings, scores and cost of a cell; guidance is NaN where there is nothing to guide."""
    unconditional = cell.run.settings.conditioning == "uncond"
    seconds = float("nan") if cell.seconds is None else cell.seconds
    return {
        "cell": cell.name,
        **cell.settings.model_dump(include=set(Sampling.model_fields)),
        "guidance": float("nan") if unconditional else cell.settings.guidance,
        **choices_row(cell),
        "network_evaluations": cell.manifest.network_evaluations,
        "n": cell.metrics.n,
        "fd": cell.metrics.fd,
        "relative_fd_floor_percent": 100 * cell.metrics.relative_fd_floor,
        **measured(cell),
        "confidence_percent": 100 * cell.metrics.confidence,
        "seconds": seconds,
        "milliseconds_per_image": 1000 * seconds / cell.metrics.n,
    }


def choices_row(cell: CellResult) -> dict[str, Any]:
    """The lesser choices; those about guidance are empty where there is none."""
    guided = ways.is_guided(cell.settings)
    return {
        "spacing": cell.settings.spacing,
        "first_step_signal": cell.manifest.schedule.first_step_signal,
        "bound": ways.bound(cell.settings.x0_bound, cell.settings.dynamic_quantile),
        "guidance_interval": ways.interval(cell.settings) if guided else None,
        "guidance_rescale": cell.settings.guidance_rescale if guided else float("nan"),
        "departures": cell.departures,
    }


def run_row(run: RunResult) -> dict[str, Any]:
    """A run's settings; its schedule is named with what is done to its end."""
    return {**run.settings.model_dump(), "schedule": schedule(run)}
