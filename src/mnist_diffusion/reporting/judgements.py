"""All that was judged: every metric of every cell, and every paired comparison."""

from __future__ import annotations

from typing import Any

import pandas as pd

from mnist_diffusion.reporting.results import CellResult, Results
from mnist_diffusion.reporting.rows import CELL, NONE
from mnist_diffusion.reporting.table import Column, Table
from mnist_diffusion.reporting.words import METRICS, spread

WITH_INTERVALS = ("kid", "precision", "recall", "density", "coverage")


def metrics(results: Results) -> Table:
    """Every metric beyond relative FD and accuracy, with its interval."""
    frame = pd.DataFrame([_metrics_row(results, cell) for cell in results.cells.values()])
    return Table(
        "metrics",
        "Every cell under every other metric, with 95 % intervals; last what real test digits "
        "score at the headline's n",
        pd.concat([frame, pd.DataFrame([_real_row(results)])], ignore_index=True),
        [
            Column("name", "cell", cell="cell"),
            Column("n", "n", "{:,}"),
            Column("second", "relative FD, second autoencoder, %"),
            *(Column(key, f"{METRICS[key]}{_unit(key)}") for key in WITH_INTERVALS),
            Column("tstr", "TSTR, %"),
            Column("closer", "closer to a training digit than 99 % of real ones, %", "{:.2f}"),
            Column("distance", "median distance to the nearest training digit", "{:.2f}"),
            Column("saturated", "full stroke pixels, %", "{:.1f}"),
            Column("mass", "ink", "{:.1f}"),
            Column("calibration", "calibration error, %", "{:.2f}", lacking=NONE),
        ],
        note="Precision and density ask whether drawn digits lie among real ones, recall and "
        "coverage whether real ones have drawn ones near (k = 5). TSTR: a classifier trained on "
        "the samples, tested on real digits. Distances are L2 of pixels in [0, 1].",
    )


def _unit(key: str) -> str:
    return "" if key in ("kid", "density") else ", %"


def _metrics_row(results: Results, cell: CellResult) -> dict[str, Any]:
    judged = cell.metrics
    trained = results.evidence.tstr.get(cell.name)
    error = judged.calibration_error
    shown = {
        key: _shown(key, getattr(judged, key), judged.intervals[key]) for key in WITH_INTERVALS
    }
    return {
        "name": cell.name,
        "cell": cell.name,
        "n": judged.n,
        "second": _shown(
            "second", judged.second.relative_fd, judged.intervals["second_relative_fd"]
        ),
        **shown,
        "tstr": _shown("tstr", trained.accuracy, trained.interval) if trained else NONE,
        "closer": 100 * judged.memorisation.share_closer,
        "distance": judged.memorisation.median_distance,
        "saturated": 100 * judged.pixels.saturated,
        "mass": judged.pixels.mass,
        "calibration": float("nan") if error is None else 100 * error,
    }


def _real_row(results: Results) -> dict[str, Any]:
    """The yardsticks."""
    judged = results.headline.metrics
    floors = {key: getattr(judged.floors, key) for key in WITH_INTERVALS}
    trained = max((one.real_accuracy for one in results.evidence.tstr.values()), default=None)
    return {
        "name": "real test digits",
        "cell": None,
        "n": judged.n,
        "second": _shown("second", judged.second.relative_fd_floor, None),
        **{k: _shown(k, floor.mean, [floor.low, floor.high]) for k, floor in floors.items()},
        "tstr": NONE if trained is None else _shown("tstr", trained, None),
        "closer": 1.0,
        "distance": judged.memorisation.median_distance_test,
        "saturated": 100 * judged.pixels.saturated_real,
        "mass": judged.pixels.mass_real,
        "calibration": 100 * results.classifier.expected_calibration_error,
    }


def _shown(key: str, value: float, interval: list[float] | None) -> str:
    """A value and its interval; KID and density as they are, all others in per cent."""
    if key in ("kid", "density"):
        text = f"{value:.3g}"
        return text if interval is None else f"{text} ({interval[0]:.3g} to {interval[1]:.3g})"
    text = f"{100 * value:.2f}" if abs(value) < 0.1 else f"{100 * value:.1f}"
    return text if interval is None else f"{text} ({spread(interval)})"


def comparisons(results: Results) -> Table:
    """Every paired comparison with its verdict."""
    rows = [
        {
            "table": one.table,
            "cell": one.cell,
            "baseline": one.baseline,
            "metric": one.metric,
            "difference": 100 * one.difference,
            "low": 100 * one.interval[0],
            "high": 100 * one.interval[1],
            "p": one.p,
            "p_holm": one.p_holm,
            "verdict": one.verdict,
            "n": one.n,
            "training_seeds": one.training_seeds,
        }
        for one in results.evidence.comparisons
    ]
    columns = ["table", "cell", "baseline", "metric", "difference", "low", "high", "p", "p_holm"]
    return Table(
        "comparisons",
        "Paired comparisons: a cell less its baseline, in points of a per cent",
        pd.DataFrame(rows, columns=[*columns, "verdict", "n", "training_seeds"]),
        [
            CELL,
            Column("baseline", "baseline"),
            Column("table", "table"),
            Column("metric", "metric", names=METRICS),
            Column("difference", "difference", "{:+.2f}"),
            Column("low", "from", "{:+.2f}"),
            Column("high", "to", "{:+.2f}"),
            Column("p_holm", "p, Holm", "{:.2g}"),
            Column("verdict", "verdict"),
            Column("n", "n", "{:,}"),
            Column("training_seeds", "training seeds"),
        ],
        note="The same starting noise for image k, the same bootstrap draws for both; p corrected "
        "by Holm within a table and metric. The interval is not corrected, the verdict is.",
    )
