"""Charts of training: loss, and FD along the way."""

from __future__ import annotations

import altair as alt
import pandas as pd

from mnist_diffusion.reporting import style
from mnist_diffusion.reporting.charts.chart import Chart, chart, log_axis, log_scale, tidy
from mnist_diffusion.reporting.charts.marks import Looks, run_lines, yardstick
from mnist_diffusion.reporting.claims.convergence import seconds_per_image
from mnist_diffusion.reporting.losses import INCOMPARABLE, broad_runs, single_runs
from mnist_diffusion.reporting.results import Results, RunResult
from mnist_diffusion.reporting.words import COMPARISONS, LOSSES, SAMPLERS

GROUPS = (("schedules", broad_runs), ("ablations", single_runs))
POINTS = 200
"""Of a loss curve."""


def losses(results: Results) -> list[Chart]:
    """Training loss, a chart per loss that is minimised."""
    groups: dict[str, list[RunResult]] = {}
    for run in results.runs.values():
        groups.setdefault(run.settings.weighting, []).append(run)
    return [_loss(weighting, runs) for weighting, runs in groups.items()]


def _loss(weighting: str, runs: list[RunResult]) -> Chart:
    frame = tidy(pd.concat([_history(run) for run in runs]))
    x = alt.X("thousand images:Q", title="thousand training images")
    y = alt.Y("loss:Q", title=f"{LOSSES[weighting]} (log)", scale=log_scale())
    y = y.axis(log_axis(frame["loss"]))
    drawn = run_lines(frame, _looks(runs), x, y, points=False)
    return chart(
        drawn.properties(height=260),
        f"loss-{weighting}",
        f"Loss minimised: {LOSSES[weighting]}",
        f"Lightly smoothed. {INCOMPARABLE}" if len(runs) > 1 else "Lightly smoothed.",
        f"Training loss of {', '.join(run.name for run in runs)}, falling with images seen.",
    )


def _history(run: RunResult) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "run": run.name,
            "thousand images": run.history["images"] / 1000,
            "loss": run.history["loss"].ewm(span=5).mean(),
        }
    )
    return frame.iloc[:: max(1, len(frame) // POINTS)]


def _looks(runs: list[RunResult]) -> Looks:
    """A look of its own for every run of a chart."""
    return style.choice_lines(runs)


def progress(results: Results) -> list[Chart]:
    """Relative FD along training, against images or seconds: the schedules', the choices' runs."""
    charts = []
    for table, choose in GROUPS:
        runs = [run for run in choose(results) if run.name in results.evidence.fd_curves]
        if runs:
            charts.append(_progress(results, table, runs))
    return charts


def _progress(results: Results, table: str, runs: list[RunResult]) -> Chart:
    found = [results.evidence.fd_curves[run.name] for run in runs]
    rows = [row for run in runs for row in _points(results, run)]
    against = alt.param(
        name="against", value="images", bind=alt.binding_radio(options=["images", "seconds"],
        labels=["images", "seconds"], name="Against: ")
    )  # fmt: skip
    x = alt.X("along:Q", title="thousand training images, or seconds of training")
    frame = tidy(rows)
    floor = 100 * found[0].relative_fd_floor
    y = alt.Y("relative FD, %:Q", title="relative FD, % (log)", scale=log_scale())
    y = y.axis(log_axis([floor, *frame["relative FD, %"]]))
    lines = run_lines(frame, _looks(runs), x, y, points=True)
    lines = lines.transform_calculate(
        along="against == 'seconds' ? datum.seconds : datum['thousand images']"
    ).transform_filter("isValid(datum.along)")
    drawn = alt.layer(yardstick(floor, floor, floor, "real test digits"), lines).add_params(against)
    told = "; ".join(f"{p.run} ends at {100 * p.points[-1].relative_fd:.1f} %" for p in found)
    one = found[0]
    return chart(
        drawn.properties(height=320),
        f"progress-{table}",
        COMPARISONS[table],
        f"Averaged weights along training, each point {one.count:,} images drawn in {one.steps} "
        f"steps of {SAMPLERS[one.sampler]}, unguided, from the same noise: good for comparing with "
        "one another, not with the tables. No interval.",
        f"Relative FD along training. {told}.",
    )


def _points(results: Results, run: RunResult) -> list[dict[str, object]]:
    pace = seconds_per_image(run)
    return [
        {
            "run": run.name,
            "thousand images": point.images / 1000,
            "seconds": float("nan") if pace is None else pace * point.images,
            "relative FD, %": 100 * point.relative_fd,
        }
        for point in results.evidence.fd_curves[run.name].points
    ]
