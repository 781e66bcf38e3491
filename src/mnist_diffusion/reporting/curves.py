"""Charts of what the runs and cells measured."""

from __future__ import annotations

from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

from mnist_diffusion.reporting import style
from mnist_diffusion.reporting.results import CellResult, Results, RunResult
from mnist_diffusion.reporting.style import Figure, axes, chart
from mnist_diffusion.reporting.words import LOSSES, SAMPLERS

YARDSTICK = "Grey: what real test digits score at the same n, a yardstick, not a bound."


def one_run_per_schedule(results: Results) -> dict[str, RunResult]:
    """The first declared run of each schedule, by the schedule's name."""
    found: dict[str, RunResult] = {}
    for run in results.runs.values():
        found.setdefault(run.settings.schedule, run)
    return found


def schedules(results: Results) -> Figure:
    """Signal left and log signal-to-noise ratio along the timesteps."""
    canvas, (left, right) = axes(2)
    for name, run in one_run_per_schedule(results).items():
        colour = style.SCHEDULE_COLOURS[name]
        left.plot(run.schedule["t"], run.schedule["alpha_bar"], color=colour, label=name)
        right.plot(run.schedule["t"], run.schedule["log_snr"], color=colour, label=name)
    left.set(title="Signal left, ᾱ(t)", xlabel="timestep t", ylim=(-0.02, 1.02))
    right.set(title="Log signal-to-noise ratio", xlabel="timestep t")
    right.axhline(0, color=style.GREY, linewidth=0.8)
    left.legend(title="schedule")
    caption = (
        "ᾱ(t) is the share of the digit's variance that is left at timestep t; the log-SNR is "
        "ln(ᾱ / (1 − ᾱ)). Above 0 there is more digit than noise."
    )
    names = ", ".join(one_run_per_schedule(results))
    alt = (
        f"Two line charts over timesteps for the schedules {names}: both fall from signal to noise."
    )
    return chart(canvas, "schedules", "Noise schedules", caption, alt)


def training(results: Results) -> Figure:
    """Training loss of every run, a panel per loss that is minimised."""
    groups = _by_loss(results)
    canvas, panels = axes(len(groups), height=4.0)
    for panel, (weighting, runs) in zip(panels, groups.items(), strict=True):
        for run in runs:
            loss = run.history["loss"].ewm(span=5).mean()
            panel.plot(run.history["images"] / 1000, loss, **style.run_line(run))
        _log_loss(panel, f"Loss minimised: {LOSSES[weighting]}")
        panel.set(xlabel="thousand training images")
    caption = (
        "Training loss, lightly smoothed. ε-MSE and v-MSE, and losses of different schedules, "
        "are not comparable with one another: they weigh the noise levels differently."
    )
    alt = f"Line charts of the training loss of {len(results.runs)} runs, falling with images seen."
    return chart(canvas, "training", "Training", caption, alt)


def loss_by_timestep(results: Results) -> Figure:
    """Where along the noise levels each run errs at the end of its training."""
    canvas, (panel,) = axes(1, width=7.2, height=4.0)
    for run in results.runs.values():
        rows = run.loss_by_timestep
        late = rows[rows["step"] > 0.75 * rows["step"].max()]
        loss = late.groupby(["bin_start", "bin_end"])["loss"].mean().reset_index()
        middle = (loss["bin_start"] + loss["bin_end"]) / 2
        panel.plot(middle, loss["loss"], **style.run_line(run))
    _log_loss(panel, "Error in ε by timestep")
    panel.set(xlabel="timestep t")
    caption = (
        "Mean squared error of the noise, by tenths of the timesteps, over the last quarter of the "
        "training: little noise left, much right. Measured alike whatever a run minimises."
    )
    alt = f"Line charts of the last loss of {len(results.runs)} runs over ten bins of timesteps."
    return chart(canvas, "loss-by-timestep", "Loss by timestep", caption, alt)


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
    _log_values(panel)
    _log_costs(panel, [cell.manifest.network_evaluations for cell in cells])
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
    _log_values(left)
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


def _by_loss(results: Results) -> dict[str, list[RunResult]]:
    groups: dict[str, list[RunResult]] = {}
    for run in results.runs.values():
        groups.setdefault(run.settings.weighting, []).append(run)
    return groups


def _log_loss(panel: Axes, title: str) -> None:
    panel.set(title=title)
    _log_values(panel)
    panel.legend(fontsize=8, ncols=1 if len(panel.lines) < 10 else 2)


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


def _log_values(panel: Axes) -> None:
    """A logarithmic value axis with ticks one can read: 1, 2, 5, 10."""
    panel.set_yscale("log")
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    panel.yaxis.set_minor_locator(NullLocator())


def _log_costs(panel: Axes, costs: Iterable[int]) -> None:
    """A logarithmic cost axis with a tick at each cost there is."""
    ticks = sorted(set(costs))
    panel.set_xscale("log")
    panel.set_xticks(ticks, [str(tick) for tick in ticks])
    panel.xaxis.set_minor_locator(NullLocator())
