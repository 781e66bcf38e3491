"""The two wide frames that every table is a filter of: a row a cell, and a row a run.

Shares are in per cent, costs in seconds; NaN and None where there is no value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mnist_diffusion.evaluation.metrics import LIKENESS, METRICS
from mnist_diffusion.reporting import labels
from mnist_diffusion.reporting.results import NAN, CellResult, Results, RunResult, in_percent

NONE = "–"
DIGITS = [str(digit) for digit in range(10)]
CELL = (
    "cell run sampler steps eta guidance guide spacing first_step_signal bound guidance_interval "
    "guidance_rescale departures network_evaluations n fd relative_fd_floor_percent "
    "relative_fd_percent relative_fd_low relative_fd_high relative_fd_interval "
    "fd_infinity_percent fd_infinity_low fd_infinity_high fd_infinity_interval "
    "fd_infinity_floor_percent class_fd_percent class_fd_interval accuracy_percent "
    "accuracy_interval confidence_percent seconds milliseconds_per_image"
)
"""What the CSV of every table of cells has."""
KEYS = {name: f"{name}_percent" if metric.percent else name for name, metric in METRICS.items()}
"""The columns of the metrics' values."""


def cells_frame(results: Results) -> pd.DataFrame:
    """Every declared cell: its run's settings and its own, provenance, scores, and costs."""
    changed = changes(results.chosen("ablations"))
    rows = [
        {
            **run_settings(cell.run),
            **_drawing(cell),
            **_scores(cell),
            **_provenance(cell),
            **_digits(cell.metrics.accuracy_per_class),
            "network_evaluations": cell.evaluations,
            "seconds": cell.seconds,
            "milliseconds_per_image": cell.milliseconds,
            "name": cell.name,
            "tstr": _tstr(results, cell),
            "condition": labels.condition(cell),
            "drawing": labels.drawing(cell),
            "run_and_drawing": f"{cell.run.name}, {labels.drawing(cell)}",
            "changed": changed.get(cell.name),
            "own_steps": int(cell.run.history["step"].iloc[-1]),
            "training_seconds": cell.run.seconds,
        }
        for cell in results.cells.values()
    ]
    return pd.DataFrame(rows)


def runs_frame(results: Results) -> pd.DataFrame:
    """Every declared run: settings, size, and what its training took."""
    rows = [
        {
            "run": run.name,
            **run_settings(run),
            "parameters": run.parameters,
            "steps": int(run.history["step"].iloc[-1]),
            "images": int(run.history["images"].iloc[-1]),
            "epochs": run.epochs,
            "last_loss": float(run.history["loss"].tail(5).mean()),
            "seconds": run.seconds,
        }
        for run in results.runs.values()
    ]
    frame = pd.DataFrame(rows)
    # Where each network has a recipe of its own, it says nothing new.
    several = bool((frame.groupby("network")["recipe"].nunique() > 1).any())
    return frame.assign(own_recipe=frame["recipe"] if several else "")


def run_settings(run: RunResult) -> dict[str, Any]:
    """A run's settings; its schedule is named with what is done to its end."""
    return {**run.settings.model_dump(), "schedule": run.schedule_name}


def _drawing(cell: CellResult) -> dict[str, Any]:
    """Settings of a cell; those about guidance are empty where there is nothing to guide."""
    guided = labels.is_guided(cell.settings)
    unconditional = cell.run.settings.conditioning == "uncond" and not guided
    return {
        "cell": cell.name,
        **cell.settings.model_dump(),
        "guidance": NAN if unconditional else cell.settings.guidance,
        "guide": labels.guide(cell.settings),
        "first_step_signal": cell.manifest.schedule.first_step_signal,
        "bound": labels.bound(cell.settings),
        "guidance_interval": labels.guided_at(cell.settings) if guided else None,
        "guidance_rescale": cell.settings.guidance_rescale if guided else NAN,
        "departures": cell.departures,
    }


def _scores(cell: CellResult) -> dict[str, Any]:
    """Every metric as a number, in per cent where METRICS says so, and as text with interval."""
    found: dict[str, Any] = {"n": cell.metrics.n}
    for name, metric in METRICS.items():
        scale = 100 if metric.percent else 1
        low, high = cell.interval(name)
        known = None if pd.isna(low) else (low, high)
        found |= {
            KEYS[name]: scale * cell.score(name),
            f"{name}_text": score_text(name, cell.score(name), known),
            f"{name}_low": scale * low,
            f"{name}_high": scale * high,
            f"{name}_interval": labels.ends_text(known) if known else NONE,
        }
    for name in ("relative_fd", "fd_infinity"):
        found[f"{name}_floor_percent"] = in_percent(METRICS[name].of_real(cell.metrics))
    return found


def _tstr(results: Results, cell: CellResult) -> str:
    found = results.tstr.get(cell.name)
    return (
        f"{labels.points(found.accuracy)} ({labels.ends_text(found.interval)})" if found else NONE
    )


def score_text(name: str, value: float, interval: Sequence[float] | None = None) -> str:
    """A score and its interval, in per cent where METRICS says so."""
    shown = [METRICS[name].shown(one) for one in (value, *(interval or ()))]
    return shown[0] if interval is None else f"{shown[0]} ({shown[1]} to {shown[2]})"


def _provenance(cell: CellResult) -> dict[str, Any]:
    """What every number comes from, as it was when the cell was drawn."""
    card, drawn = cell.manifest.schedule, cell.manifest.parameters.cell
    lowest = "−∞" if card.log_snr_min is None else f"{card.log_snr_min:.1f}"
    return {
        "weights": cell.manifest.inputs["weights_sha256"],
        "betas": cell.manifest.inputs["betas_sha256"],
        "samples": cell.metrics.samples_sha256,
        "classifier": cell.metrics.classifier_sha256,
        "alpha_bar_last": card.alpha_bar_last,
        "terminal_snr": card.alpha_bar_last / (1 - card.alpha_bar_last),
        "log_snr": f"{card.log_snr_max:.1f} to {lowest}",
        "drawn_spacing": drawn.spacing,
        "drawn_bound": labels.bound(drawn),
        "drawn_guidance_interval": labels.guided_at(drawn),
        "drawn_guidance_rescale": drawn.guidance_rescale,
        "sample_seed": cell.manifest.parameters.sample.seed,
    }


def accuracies_frame(results: Results, cells: pd.DataFrame) -> pd.DataFrame:
    """First the classifier's own accuracy per real test digit; the cells that ask for digits."""
    real = {"name": "real test set", "cell": None, **_digits(results.classifier.accuracy_per_class)}
    asking = cells[cells["accuracy_percent"].notna()]
    return pd.concat([pd.DataFrame([real]), asking], ignore_index=True)


def _digits(accuracies: Mapping[Any, float | None] | None) -> dict[str, float]:
    return {digit: in_percent((accuracies or {}).get(digit)) for digit in DIGITS}


def real_scores(results: Results) -> dict[str, Any]:
    """What real test digits score at the usual n, in the columns of the table of metrics."""
    typical = results.typical
    row: dict[str, Any] = {"name": "real test digits", "cell": None, "n": typical.metrics.n}
    for name, metric in METRICS.items():
        value = metric.of_real(typical.metrics)
        if value is not None:
            spread = results.baseline(name, typical) if name in LIKENESS else None
            ends = (spread.low, spread.high) if spread else None
            row[f"{name}_text"] = score_text(name, value, ends)
            row[KEYS[name]] = 100 * value if metric.percent else value
    trained = [one.real_accuracy for one in results.tstr.values()]
    return row | {"tstr": labels.points(max(trained)) if trained else NONE}


def changes(cells: Sequence[CellResult]) -> dict[str, str | None]:
    """In what the run of each cell differs from the one before it that is most like it."""
    runs = [cell.run for cell in cells]
    found: dict[str, str | None] = {cells[0].name: None}
    for place, cell in enumerate(cells[1:], start=1):
        parent = min(runs[:place], key=lambda other: len(differing(cell.run, other)))
        keys = differing(cell.run, parent)
        words = " and ".join(labels.TRAINING_CHOICES.get(key, key) for key in keys)
        origin = "" if parent is runs[0] else f", from {parent.name}"
        found[cell.name] = f"{words}{origin}" if keys else None
    return found


def differing(one: RunResult, other: RunResult) -> list[str]:
    """The settings in which two runs differ."""
    mine, theirs = one.settings.model_dump(), other.settings.model_dump()
    return [key for key in mine if mine[key] != theirs[key]]
