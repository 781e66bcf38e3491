"""The comparisons of single choices: one at a time, of training and of sampling."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd

from mnist_diffusion.reporting.lineage import Step, note, steps
from mnist_diffusion.reporting.ranking import by_drawing, by_run
from mnist_diffusion.reporting.results import CellResult, Results
from mnist_diffusion.reporting.rows import (
    ACCURACY_OR_NONE,
    BOLD,
    CELL,
    EVALUATIONS,
    GUIDANCE,
    INTERVAL,
    LOSS,
    NONE,
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

CHOICES = [
    Column("spacing", "spacing"),
    SIGNAL,
    Column("bound", "bound"),
    replace(GUIDANCE, title="s"),
    Column("guidance_interval", "guided at", lacking=NONE),
    Column("guidance_rescale", "rescale φ", "{:g}", lacking=NONE),
]
SAMPLING_NOTE = (
    "The signal at the first step, √ᾱ, is how much of a digit the sampler takes to be in the noise "
    "that it starts from; there is none. The bound holds the predicted x₀ within the range of "
    "pixels: clip cuts it off, dynamic cuts it at that quantile of its size and shrinks it to fit. "
    "Guided at which ratios of noise to signal; beyond them s is 1. Rescale takes back a share φ "
    "of the contrast that guidance adds to x₀; others rescale the network's output, where the same "
    "φ is another strength."
)


def ablations(results: Results) -> Table:
    """Choices of training, each beside the run it departs from in nothing else."""
    cells = results.chosen("ablations")
    taken = steps([cell.run for cell in cells])
    groups = {c.name: group for group, own in by_drawing(cells).items() for c in own}
    rows = [_ablation_row(groups[c.name], c, s) for c, s in zip(cells, taken, strict=True)]
    frame = pd.DataFrame(rows)
    alike = len(set(groups.values())) == 1
    drawn = f"all in {next(iter(groups.values()))}" if alike else "ranked where drawn alike"
    return Table(
        "ablations",
        f"Training choices, {drawn}; {BOLD}",
        frame,
        [
            Column("run", "run", cell="cell"),
            Column("changed", "changed", lacking=NONE),
            OUTPUT,
            LOSS,
            TIMESTEPS,
            Column("terminal_snr", "terminal SNR", "{:.2g}"),
            *telling(frame, SEED, SAMPLER, STEPS, GUIDANCE),
            RELATIVE_FD,
            INTERVAL,
            ACCURACY_OR_NONE,
        ],
        group="group",
        note=note(taken),
    )


def choices(results: Results) -> Table:
    """Lesser choices of sampling, ranked only where sampler, steps and guidance are alike."""
    groups = by_run(results.chosen("choices"))
    rows = [{"group": group, **cell_row(cell)} for group, cells in groups.items() for cell in cells]
    frame = pd.DataFrame(rows)
    return Table(
        "choices",
        f"Sampling choices; {BOLD} among rows of the same run, sampler, steps and guidance",
        frame,
        [
            CELL,
            *telling(frame, Column("run", "run"), SAMPLER),
            STEPS,
            *CHOICES,
            EVALUATIONS,
            RELATIVE_FD,
            INTERVAL,
            ACCURACY_OR_NONE,
        ],
        group="group",
        note=SAMPLING_NOTE,
    )


def _ablation_row(group: str, cell: CellResult, step: Step) -> dict[str, Any]:
    left = cell.manifest.schedule.alpha_bar_last
    return {
        "group": group,
        **run_row(cell.run),
        **cell_row(cell),
        "changed": step.text,
        "terminal_snr": left / (1 - left),
    }
