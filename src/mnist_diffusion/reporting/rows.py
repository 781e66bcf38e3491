"""What all tables share: the columns of a cell, in per cent and seconds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd

from mnist_diffusion.reporting.results import CellResult
from mnist_diffusion.reporting.table import Column
from mnist_diffusion.reporting.words import LOSSES, SAMPLERS

CELL = Column("cell", "cell", cell="cell")
RELATIVE_FD = Column("relative_fd_percent", "relative FD, %", "{:.2f}", pd.Series.min, "cell")
ACCURACY = Column("accuracy_percent", "accuracy, %", "{:.1f}", pd.Series.max, "cell")
EVALUATIONS = Column("network_evaluations", "network evaluations", "{:,}")
SAMPLER = Column("sampler", "sampler", names=SAMPLERS)
LOSS = Column("weighting", "loss minimised", names=LOSSES)
NONE = "–"
ACCURACY_OR_NONE = replace(ACCURACY, lacking=NONE)
GUIDANCE = Column("guidance", "guidance s", "{:g}", lacking=NONE)
BOLD = "bold: lowest relative FD and highest accuracy"


def measured(cell: CellResult) -> dict[str, float]:
    """Relative FD and accuracy in per cent; NaN where no digit was asked for."""
    accuracy = cell.metrics.accuracy
    return {
        "relative_fd_percent": 100 * cell.metrics.relative_fd,
        "accuracy_percent": float("nan") if accuracy is None else 100 * accuracy,
    }


def cell_row(cell: CellResult) -> dict[str, Any]:
    """Settings, scores and cost of a cell; guidance is NaN where there is nothing to guide."""
    unconditional = cell.run.settings.conditioning == "uncond"
    seconds = float("nan") if cell.seconds is None else cell.seconds
    return {
        "cell": cell.name,
        **cell.settings.model_dump(),
        "guidance": float("nan") if unconditional else cell.settings.guidance,
        "network_evaluations": cell.manifest.network_evaluations,
        "n": cell.metrics.n,
        "fd": cell.metrics.fd,
        "relative_fd_floor_percent": 100 * cell.metrics.relative_fd_floor,
        **measured(cell),
        "confidence_percent": 100 * cell.metrics.confidence,
        "seconds": seconds,
        "milliseconds_per_image": 1000 * seconds / cell.metrics.n,
    }
