"""The source's own denoiser among the runs, and what keeps its numbers from being the source's."""

from __future__ import annotations

from collections.abc import Iterable

from mnist_diffusion.reporting.results import CellResult, Results, RunResult
from mnist_diffusion.reporting.words import SAMPLERS

SOURCE_EPOCHS = 10
SOURCE_STEPS = 1000


def is_baseline(run: RunResult) -> bool:
    """Whether a run has the source's network and is trained by its recipe."""
    return run.settings.network == "simple" and run.settings.recipe == "source"


def brief(run: RunResult) -> str:
    """A baseline in a few words, for where it stands beside other runs."""
    return f"the source's network after {run.epochs:.2f} epochs"


def training_notes(results: Results) -> list[str]:
    """A sentence per baseline: how its training differs from the source's."""
    return [f"{_trained(results, r)}." for r in results.runs.values() if is_baseline(r)]


def notes(results: Results, cells: Iterable[CellResult]) -> list[str]:
    """A sentence per cell of a baseline: how training and drawing differ from the source's."""
    return [
        f"{_trained(results, cell.run)}; {cell.name} is drawn in {cell.settings.steps} steps of "
        f"{SAMPLERS[cell.settings.sampler]}, the source takes {SOURCE_STEPS:,} of DDPM."
        for cell in cells
        if is_baseline(cell.run)
    ]


def _trained(results: Results, run: RunResult) -> str:
    return (
        f"The run {run.name} has the source's architecture, optimiser and loss, trained for "
        f"{run.epochs:.2f} epochs{_clock(results, run)}; the source trains for {SOURCE_EPOCHS}"
    )


def _clock(results: Results, run: RunResult) -> str:
    """Its wall clock beside that of the U-Nets, where both are known."""
    others = [
        other.seconds
        for other in results.runs.values()
        if other.settings.network == "unet" and other.seconds is not None
    ]
    if run.seconds is None or not others:
        return ""
    shortest, longest = (f"{bound:,.0f}" for bound in (min(others), max(others)))
    theirs = shortest if shortest == longest else f"{shortest} to {longest}"
    return f" ({run.seconds:,.0f} s of wall clock, a U-Net run {theirs} s)"
