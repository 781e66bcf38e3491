"""Charts of the training: only equal losses share a panel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from matplotlib.axes import Axes

from mnist_diffusion.reporting import style
from mnist_diffusion.reporting.results import Results, RunResult
from mnist_diffusion.reporting.style import Figure, axes, chart
from mnist_diffusion.reporting.ticks import log_values
from mnist_diffusion.reporting.words import COMPARISONS, LOSSES

Looks = Mapping[str, dict[str, Any]]
"""Keywords of a line by the name of its run."""
INCOMPARABLE = (
    "Other losses, and losses of different schedules, are not comparable with one another: they "
    "weigh the noise levels differently."
)


def training(results: Results) -> Figure:
    """Training loss of the schedules' runs, a panel per loss that is minimised."""
    runs = broad_runs(results)
    caption = f"Training loss, lightly smoothed. {INCOMPARABLE}"
    return _history("training", "Training", caption, runs, _broad_looks(runs))


def ablations(results: Results) -> Figure:
    """Training loss of the runs that differ in one choice, a panel per loss that is minimised."""
    runs = single_runs(results)
    caption = (
        f"Training loss of the training choices, lightly smoothed. {INCOMPARABLE} The error in ε "
        "by timestep has them all in one measure."
    )
    title = COMPARISONS["ablations"]
    return _history("ablations", title, caption, runs, style.choice_lines(runs))


def loss_by_timestep(results: Results) -> Figure:
    """Where along the noise levels each run errs at the end of its training."""
    broad, single = broad_runs(results), single_runs(results)
    canvas, (left, right) = axes(2, height=4.4)
    _late_errors(left, COMPARISONS["schedules"], broad, _broad_looks(broad))
    _late_errors(right, COMPARISONS["ablations"], single, style.choice_lines(single))
    right.set_ylim(_common(left, right))
    left.set_ylim(right.get_ylim())
    caption = (
        "Mean squared error of the noise, by tenths of the timesteps, over the last quarter of the "
        "training: little noise left, much right. Measured alike whatever a run minimises, but "
        "importance sampling looks more often at the hard timesteps of a tenth."
    )
    alt = f"Line charts of the last loss of {len(results.runs)} runs over ten bins of timesteps."
    return chart(canvas, "loss-by-timestep", "Error in ε by timestep", caption, alt)


def single_runs(results: Results) -> list[RunResult]:
    """The runs of the training choices, in the order declared."""
    return list({cell.run.name: cell.run for cell in results.chosen("ablations")}.values())


def broad_runs(results: Results) -> list[RunResult]:
    """All other runs, and those that another comparison has too."""
    tables = (table for table in COMPARISONS if table != "ablations")
    elsewhere = {cell.run.name for table in tables for cell in results.chosen(table)}
    only_there = {run.name for run in single_runs(results)} - elsewhere
    return [run for run in results.runs.values() if run.name not in only_there]


def _broad_looks(runs: Iterable[RunResult]) -> Looks:
    """The report's usual lines; training seeds of one choice share a line in the legend."""
    looks: dict[str, dict[str, Any]] = {}
    told: set[str] = set()
    for run in runs:
        choice = str(run.settings.model_copy(update={"seed": 0}))
        looks[run.name] = style.run_line(run) | ({"label": None} if choice in told else {})
        told.add(choice)
    return looks


def _history(
    name: str, title: str, caption: str, runs: Iterable[RunResult], looks: Looks
) -> Figure:
    groups: dict[str, list[RunResult]] = {}
    for run in runs:
        groups.setdefault(run.settings.weighting, []).append(run)
    canvas, panels = axes(len(groups), height=4.0 if len(groups) < 3 else 3.2)
    for panel, (weighting, own) in zip(panels, groups.items(), strict=True):
        for run in own:
            loss = run.history["loss"].ewm(span=5).mean()
            panel.plot(run.history["images"] / 1000, loss, **looks[run.name])
        _finish(panel, f"Loss minimised: {LOSSES[weighting]}", "thousand training images")
    count = sum(len(own) for own in groups.values())
    alt = f"Line charts of the training loss of {count} runs, falling with images seen."
    return chart(canvas, name, title, caption, alt)


def _late_errors(panel: Axes, title: str, runs: Iterable[RunResult], looks: Looks) -> None:
    for run in runs:
        rows = run.loss_by_timestep
        late = rows[rows["step"] > 0.75 * rows["step"].max()]
        loss = late.groupby(["bin_start", "bin_end"])["loss"].mean().reset_index()
        middle = (loss["bin_start"] + loss["bin_end"]) / 2
        panel.plot(middle, loss["loss"], **looks[run.name])
    _finish(panel, title, "timestep t")


def _common(one: Axes, other: Axes) -> tuple[float, float]:
    """Limits that hold both."""
    lows, highs = zip(one.get_ylim(), other.get_ylim(), strict=True)
    return min(lows), max(highs)


def _finish(panel: Axes, title: str, across: str) -> None:
    panel.set(title=title, xlabel=across)
    log_values(panel)
    panel.legend(fontsize=8)
