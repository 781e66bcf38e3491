"""Charts of what the runs and cells measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from mnist_diffusion.reporting import style, words
from mnist_diffusion.reporting.results import CellResult, Results, RunResult
from mnist_diffusion.reporting.style import Figure, axes, chart
from mnist_diffusion.reporting.ticks import log_costs, log_values
from mnist_diffusion.reporting.words import SAMPLERS

YARDSTICK = "Grey: what real test digits score at the same n, a yardstick, not a bound."


def one_run_per_schedule(results: Results) -> dict[str, RunResult]:
    """The first declared run of each schedule, by the schedule's name; zero SNR is one more."""
    found: dict[str, RunResult] = {}
    for run in results.runs.values():
        found.setdefault(words.schedule(run), run)
    return found


def schedules(results: Results) -> Figure:
    """Signal left and log signal-to-noise ratio along the timesteps, a line per schedule."""
    canvas, (left, right) = axes(2)
    runs = one_run_per_schedule(results)
    for run in runs.values():
        look = style.schedule_line(run)
        left.plot(run.schedule["t"], run.schedule["alpha_bar"], **look)
        right.plot(run.schedule["t"], _finite(run.schedule["log_snr"]), **look)
    left.set(title="Signal left, ᾱ(t)", xlabel="timestep t", ylim=(-0.02, 1.02))
    right.set(title="Log signal-to-noise ratio", xlabel="timestep t")
    right.axhline(0, color=style.GREY, linewidth=0.8)
    left.legend(title="schedule")
    _mark_ends(right, runs)
    caption = (
        "ᾱ(t) is the share of the digit's variance that is left at timestep t; the log-SNR is "
        "ln(ᾱ / (1 − ᾱ)). Above 0 there is more digit than noise."
    )
    ends = _ends(runs)
    caption += f" It ends at minus infinity under {'; '.join(ends)}." if ends else ""
    alt = (
        f"Two line charts over timesteps for the schedules {'; '.join(runs)}: all fall from signal "
        "to noise."
    )
    return chart(canvas, "schedules", "Noise schedules", caption, alt)


def cost(results: Results) -> Figure:
    """Relative FD against network evaluations, a line per sampler."""
    cells = results.chosen("samplers")
    canvas, (panel,) = axes(1, width=7.2, height=4.0)
    for sampler, (colour, mark) in style.SAMPLER_MARKS.items():
        own = [cell for cell in cells if cell.settings.sampler == sampler]
        own.sort(key=lambda cell: cell.manifest.network_evaluations)
        if own:
            evaluations = [cell.manifest.network_evaluations for cell in own]
            panel.plot(evaluations, _fds(own), color=colour, marker=mark, label=SAMPLERS[sampler])
    _yardstick(panel, results)
    panel.set(title="Relative FD, % (log)", xlabel="network evaluations per image (log)")
    log_values(panel)
    log_costs(panel, [cell.manifest.network_evaluations for cell in cells])
    panel.legend()
    caption = (
        f"Lower left is better. All cells draw the run {_runs(cells)} with the same noise. "
        f"{YARDSTICK}"
    )
    points = "; ".join(
        f"{SAMPLERS[cell.settings.sampler]} {cell.manifest.network_evaluations}: {fd:.2f} %"
        for cell, fd in zip(cells, _fds(cells), strict=True)
    )
    alt = f"Relative FD against network evaluations per image. {points}."
    return chart(canvas, "cost", "Quality against cost", caption, alt)


def guidance(results: Results) -> Figure:
    """Relative FD and accuracy against the guidance scale."""
    cells = sorted(results.chosen("guidance"), key=lambda cell: cell.settings.guidance)
    scales = [cell.settings.guidance for cell in cells]
    canvas, (left, right) = axes(2)
    left.plot(scales, _fds(cells), color=style.ORANGE, marker="D")
    _yardstick(left, results)
    left.set(title="Relative FD, % (log)")
    log_values(left)
    asked = [cell for cell in cells if cell.asks_for_digits]
    accuracies = [100 * (cell.metrics.accuracy or 0) for cell in asked]
    right.plot([c.settings.guidance for c in asked], accuracies, color=style.BLUE, marker="o")
    _judge_line(right, 100 * results.classifier.accuracy, scales[-1])
    right.set(title="Accuracy, %")
    for panel in (left, right):
        panel.set_xscale("symlog", base=2, linthresh=1)
        panel.set(xlabel="guidance scale s", xlim=(scales[0] - 0.3, 1.3 * scales[-1] + 0.1))
        panel.set_xticks(scales, [f"{scale:g}" for scale in scales])
    caption = (
        f"Guidance trades variety for certainty. All cells draw the run {_runs(cells)} from the "
        f"same starting noise. {YARDSTICK}"
    )
    points = "; ".join(f"s = {s:g}: {fd:.2f} %" for s, fd in zip(scales, _fds(cells), strict=True))
    alt = f"Relative FD and accuracy against the guidance scale. Relative FD at {points}."
    return chart(canvas, "guidance", "Guidance", caption, alt)


def _finite(log_snr: pd.Series) -> pd.Series:
    """A line has no place for minus infinity; it ends one timestep early."""
    return log_snr.where(np.isfinite(log_snr))


def _ends(runs: Mapping[str, RunResult]) -> list[str]:
    """Schedules that leave no signal at all."""
    return [name for name, run in runs.items() if np.isneginf(run.schedule["log_snr"].iloc[-1])]


def _mark_ends(panel: Axes, runs: Mapping[str, RunResult]) -> None:
    """Arrowheads on the floor where a line falls out of the picture."""
    for name in _ends(runs):
        last = runs[name].schedule["t"].iloc[-1]
        place = panel.get_xaxis_transform()
        colour = style.SCHEDULE_COLOURS[name]
        panel.plot([last], [0], "v", color=colour, transform=place, clip_on=False)
        panel.annotate("−∞", (last, 0), (-6, 5), place, "offset points", ha="right", color=colour)


def _fds(cells: Iterable[CellResult]) -> list[float]:
    return [100 * cell.metrics.relative_fd for cell in cells]


def _runs(cells: Iterable[CellResult]) -> str:
    return ", ".join(dict.fromkeys(cell.run.name for cell in cells))


def _yardstick(panel: Axes, results: Results) -> None:
    """What real test digits score: the mean, and the band of random sets if there are several."""
    real = results.floor.relative_fd
    if real.low < real.high:
        panel.axhspan(100 * real.low, 100 * real.high, color=style.GREY, alpha=0.3, linewidth=0)
    panel.axhline(100 * real.mean, color=style.GREY, linewidth=0.8)
    panel.annotate(
        "real test digits",
        (0.02, 100 * real.high),
        (0, 3),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        color=style.GREY,
        fontsize=9,
    )


def _judge_line(panel: Axes, accuracy: float, right_end: float) -> None:
    """The judge's own accuracy on the real test digits, in per cent."""
    panel.axhline(accuracy, color=style.GREY, linestyle=":")
    panel.annotate(
        "judge on real digits",
        (right_end, accuracy),
        (0, -4),
        textcoords="offset points",
        ha="right",
        va="top",
        color=style.GREY,
        fontsize=9,
    )
