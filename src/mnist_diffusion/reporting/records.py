"""What there is: every run, every cell, and what each number comes from."""

from __future__ import annotations

from typing import Any

import pandas as pd

from mnist_diffusion.reporting import baseline, ways
from mnist_diffusion.reporting.results import CellResult, Results, RunResult
from mnist_diffusion.reporting.rows import (
    ACCURACY_OR_NONE,
    BOLD,
    CELL,
    DEPARTURES,
    EVALUATIONS,
    GUIDANCE,
    INTERVAL,
    LOSS,
    OUTPUT,
    RELATIVE_FD,
    SAMPLER,
    SEED,
    SIGNAL,
    STEPS,
    TIMESTEPS,
    cell_row,
    run_row,
    telling,
)
from mnist_diffusion.reporting.table import Column, Table

GUIDED = [
    Column("guidance_interval", "guided at"),
    Column("guidance_rescale", "rescale φ", "{:g}"),
]
NOTE = (
    "Last losses compare only where the same loss is minimised under the same schedule. Seconds "
    "are the wall clock of the whole stage; n/a where no timing of exactly these weights is at "
    "hand."
)


def runs(results: Results) -> Table:
    """What each denoiser is and what its training took."""
    frame = pd.DataFrame([_run_row(run) for run in results.runs.values()])
    frame = frame.astype({"seconds": float})
    recipes = frame.groupby("network")["recipe"].nunique()
    # Where each network has a recipe of its own, it says nothing new.
    recipe = ["recipe"] if (recipes > 1).any() else []
    words = ["run", "schedule", "conditioning", "network", *recipe]
    return Table(
        "runs",
        "The trained denoisers",
        frame,
        [
            *(Column(word, word) for word in words),
            OUTPUT,
            LOSS,
            *telling(frame, TIMESTEPS, SEED),
            Column("parameters", "parameters", "{:,}"),
            Column("epochs", "epochs", "{:.2f}"),
            Column("last_loss", "last loss", "{:.4f}"),
            Column("seconds", "seconds", "{:,.0f}"),
        ],
        note=" ".join([NOTE, *baseline.training_notes(results)]),
    )


def _run_row(run: RunResult) -> dict[str, Any]:
    return {
        "run": run.name,
        **run_row(run),
        "parameters": run.parameters,
        "steps": int(run.history["step"].iloc[-1]),
        "images": int(run.history["images"].iloc[-1]),
        "epochs": run.epochs,
        "last_loss": float(run.history["loss"].tail(5).mean()),
        "seconds": run.seconds,
    }


def progress(results: Results) -> Table:
    """Every run along its training."""
    rows = [
        {
            "run": name,
            "step": point.step,
            "images": point.images,
            "relative_fd_percent": 100 * point.relative_fd,
        }
        for name, one in results.evidence.fd_curves.items()
        for point in one.points
    ]
    return Table(
        "progress",
        "Relative FD along training, of the averaged weights and few images",
        pd.DataFrame(rows),
        [
            Column("run", "run"),
            Column("step", "step", "{:,}"),
            Column("images", "training images", "{:,}"),
            Column("relative_fd_percent", "relative FD, %", "{:.2f}"),
        ],
    )


def cells(results: Results) -> Table:
    """Every judgement, whichever comparison it is part of."""
    frame = pd.DataFrame([cell_row(cell) for cell in results.cells.values()])
    return Table(
        "cells",
        f"Every declared cell; {BOLD} of all, whatever the training, conditioning, guidance, "
        "sampler and steps",
        frame,
        [
            CELL,
            Column("run", "run"),
            SAMPLER,
            STEPS,
            GUIDANCE,
            *telling(frame, DEPARTURES),
            EVALUATIONS,
            Column("n", "n", "{:,}"),
            Column("fd", "FD", "{:#.3g}"),
            RELATIVE_FD,
            INTERVAL,
            Column("relative_fd_floor_percent", "real test digits, %", "{:.2f}"),
            ACCURACY_OR_NONE,
        ],
    )


def provenance(results: Results) -> Table:
    """What every number comes from."""
    frame = pd.DataFrame([_provenance_row(cell) for cell in results.cells.values()])
    return Table(
        "provenance",
        "Provenance of every cell: digests are SHA-256, cut to twelve digits",
        frame,
        [
            Column("cell", "cell"),
            Column("run", "run"),
            *(Column(key, key, "{:.12}") for key in ("weights", "betas", "samples", "classifier")),
            Column("alpha_bar_last", "ᾱ at T", "{:.2e}"),
            Column("log_snr", "log-SNR"),
            SIGNAL,
            EVALUATIONS,
            Column("eta", "η", "{:g}"),
            Column("spacing", "spacing"),
            Column("bound", "bound on x₀"),
            *telling(frame, *GUIDED),
            Column("seed", "sample seed"),
        ],
        row_ids="cell",
    )


def _provenance_row(cell: CellResult) -> dict[str, Any]:
    card = cell.manifest.schedule
    drawn, sample = cell.manifest.parameters.cell, cell.manifest.parameters.sample
    return {
        "cell": cell.name,
        "run": cell.run.name,
        "weights": cell.manifest.inputs.get("weights_sha256"),
        "betas": cell.manifest.inputs.get("betas_sha256"),
        "samples": cell.metrics.samples_sha256,
        "classifier": cell.metrics.classifier_sha256,
        "alpha_bar_last": card.alpha_bar_last,
        "log_snr": f"{card.log_snr_max:.1f} to {_end(card.log_snr_min)}",
        "first_step_signal": card.first_step_signal,
        "network_evaluations": cell.manifest.network_evaluations,
        "eta": cell.settings.eta,
        "spacing": drawn.spacing,
        "bound": ways.bound(drawn.x0_bound, drawn.dynamic_quantile),
        "guidance_interval": ways.interval(drawn),
        "guidance_rescale": drawn.guidance_rescale,
        "seed": sample.seed,
    }


def _end(log_snr: float | None) -> str:
    return "−∞" if log_snr is None else f"{log_snr:.1f}"
