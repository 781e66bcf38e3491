"""What there is: every run, every cell, and what each number comes from."""

from __future__ import annotations

from typing import Any

import pandas as pd

from mnist_diffusion.reporting import baseline
from mnist_diffusion.reporting.results import CellResult, Results
from mnist_diffusion.reporting.rows import (
    ACCURACY_OR_NONE,
    BOLD,
    CELL,
    EVALUATIONS,
    GUIDANCE,
    LOSS,
    RELATIVE_FD,
    SAMPLER,
    cell_row,
)
from mnist_diffusion.reporting.table import Column, Table

NOTE = (
    "Last losses compare only where the same loss is minimised under the same schedule. Seconds "
    "are the wall clock of the whole stage; n/a where no timing of exactly these weights is at "
    "hand."
)


def runs(results: Results) -> Table:
    """What each denoiser is and what its training took."""
    rows = [
        {
            "run": run.name,
            **run.settings.model_dump(),
            "parameters": run.parameters,
            "steps": int(run.history["step"].iloc[-1]),
            "images": int(run.history["images"].iloc[-1]),
            "epochs": run.epochs,
            "last_loss": float(run.history["loss"].tail(5).mean()),
            "seconds": run.seconds,
        }
        for run in results.runs.values()
    ]
    words = ["run", "schedule", "conditioning", "network", "recipe", "prediction"]
    frame = pd.DataFrame(rows).astype({"seconds": float})
    return Table(
        "runs",
        "The trained denoisers",
        frame,
        [
            *(Column(word, word) for word in words),
            Column("parameters", "parameters", "{:,}"),
            Column("images", "training images", "{:,}"),
            Column("epochs", "epochs", "{:.2f}"),
            LOSS,
            Column("last_loss", "last loss", "{:.4f}"),
            Column("seconds", "training seconds", "{:,.0f}"),
            *([Column("seed", "seed")] if frame["seed"].nunique() > 1 else []),
        ],
        note=" ".join([NOTE, *baseline.training_notes(results)]),
    )


def cells(results: Results) -> Table:
    """Every judgement, whichever comparison it is part of."""
    return Table(
        "cells",
        f"Every declared cell; {BOLD} of all, whatever the conditioning, guidance, sampler and "
        "steps",
        pd.DataFrame([cell_row(cell) for cell in results.cells.values()]),
        [
            CELL,
            Column("run", "run"),
            SAMPLER,
            Column("steps", "steps"),
            GUIDANCE,
            EVALUATIONS,
            Column("n", "n", "{:,}"),
            Column("fd", "FD", "{:#.3g}"),
            RELATIVE_FD,
            Column("relative_fd_floor_percent", "real test digits, %", "{:.2f}"),
            ACCURACY_OR_NONE,
        ],
    )


def provenance(results: Results) -> Table:
    """What every number comes from."""
    rows = [_provenance_row(cell) for cell in results.cells.values()]
    return Table(
        "provenance",
        "Provenance of every cell: digests are SHA-256, cut to twelve digits",
        pd.DataFrame(rows),
        [
            Column("cell", "cell"),
            Column("run", "run"),
            *(Column(key, key, "{:.12}") for key in ("weights", "betas", "samples", "classifier")),
            Column("alpha_bar_last", "ᾱ at T", "{:.2e}"),
            Column("log_snr", "log-SNR"),
            Column("first_step_signal", "signal at first step", "{:.3f}"),
            EVALUATIONS,
            Column("eta", "η", "{:g}"),
            Column("spacing", "spacing"),
            Column("clip_x0", "clips x₀"),
            Column("seed", "sample seed"),
        ],
        row_ids="cell",
    )


def _provenance_row(cell: CellResult) -> dict[str, Any]:
    card = cell.manifest.schedule
    parameters = cell.manifest.parameters
    return {
        "cell": cell.name,
        "run": cell.run.name,
        "weights": cell.manifest.inputs.get("weights_sha256"),
        "betas": cell.manifest.inputs.get("betas_sha256"),
        "samples": cell.metrics.samples_sha256,
        "classifier": cell.metrics.classifier_sha256,
        "alpha_bar_last": card.alpha_bar_last,
        "log_snr": f"{card.log_snr_max:.1f} to {card.log_snr_min:.1f}",
        "first_step_signal": card.first_step_signal,
        "network_evaluations": cell.manifest.network_evaluations,
        "eta": cell.settings.eta,
        "spacing": parameters.spacing,
        "clip_x0": "yes" if parameters.clip_x0 else "no",
        "seed": parameters.sample_seed,
    }
