"""Charts of schedules and trainings: what they leave, their losses, and FD along the way."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from mnist_diffusion.reporting.charts import (
    Chart,
    chart,
    log_axis,
    log_scale,
    real_band,
    run_lines,
    tidy,
)
from mnist_diffusion.reporting.labels import LOSSES, SAMPLERS, TABLE_TITLES
from mnist_diffusion.reporting.results import NAN, Results, RunResult, one_run_per_schedule

POINTS = 200
"""Of a loss curve."""
LEVELS = 120
"""Of a line along the timesteps."""
LATE = 0.75
"""The share of a training after which errors by timestep are taken."""
INCOMPARABLE = (
    "Other losses, and losses of different schedules, are not comparable with one another: they "
    "weigh the noise levels differently."
)


def groups(results: Results) -> dict[str, list[RunResult]]:
    """The runs of the training choices; and all others, with those that other tables have too."""
    single = {cell.run.name: cell.run for cell in results.chosen("ablations")}
    tables = (table for table in TABLE_TITLES if table != "ablations")
    elsewhere = {cell.run.name for table in tables for cell in results.chosen(table)}
    broad = [r for name, r in results.runs.items() if name not in single or name in elsewhere]
    return {"schedules": broad, "ablations": list(single.values())}


def schedule_levels(results: Results) -> list[Chart]:
    """Signal left and log-SNR along the timesteps, a line per schedule."""
    runs = one_run_per_schedule(results)
    rows = []
    for name, run in runs.items():
        table = run.schedule.iloc[:: max(1, len(run.schedule) // LEVELS)]
        rows += [
            {"run": name, "t": row.t, "signal": row.alpha_bar, "log_snr": row.log_snr}
            for row in table.itertuples()
        ]
    frame, x = tidy(rows), alt.X("t:Q", title="timestep t")
    listed = "; ".join(runs)
    return [
        chart(
            run_lines(frame, x, alt.Y(f"{key}:Q", title=title), points=False).properties(
                height=240
            ),
            name,
            heading,
            caption,
            f"{heading} over timesteps for the schedules {listed}: all fall from signal to noise.",
        )
        for key, title, name, heading, caption in (
            ("signal", "ᾱ(t)", "signal", "Signal left", "The share of the digit's variance left."),
            (
                "log_snr",
                "ln(ᾱ / (1 − ᾱ))",
                "log-snr",
                "Log signal-to-noise ratio",
                "Above 0 there is more digit than noise; a line that ends early falls to minus "
                "infinity.",
            ),
        )
    ]


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
    return chart(
        run_lines(frame, x, y, points=False).properties(height=260),
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


def late_errors(results: Results) -> list[Chart]:
    """Where along the noise levels each run errs at the end of its training, in one measure."""
    return [_late_errors(table, runs) for table, runs in groups(results).items()]


def _late_errors(table: str, runs: list[RunResult]) -> Chart:
    frame = tidy([row for run in runs for row in _late_rows(run)])
    x = alt.X("timestep:Q", title="timestep t")
    y = alt.Y("error:Q", title="mean squared error of ε (log)", scale=log_scale())
    y = y.axis(log_axis(frame["error"]))
    return chart(
        run_lines(frame, x, y, points=True).properties(height=260),
        f"late-errors-{table}",
        f"Error in ε by timestep: {TABLE_TITLES[table].lower()}",
        "By tenths of the timesteps, over the last quarter of the training: little noise left, "
        "much right. Measured alike whatever a run minimises, but importance sampling looks more "
        "often at the hard timesteps of a tenth.",
        f"The last error of {', '.join(run.name for run in runs)} over ten bins of timesteps.",
    )


def _late_rows(run: RunResult) -> list[dict[str, Any]]:
    rows = run.loss_by_timestep
    late = rows[rows["step"] > LATE * rows["step"].max()]
    means = late.groupby(["bin_start", "bin_end"])["loss"].mean().reset_index()
    middles = (means["bin_start"] + means["bin_end"]) / 2
    return [
        {"run": run.name, "timestep": middle, "error": error}
        for middle, error in zip(middles, means["loss"], strict=True)
    ]


def fd_curves(results: Results) -> list[Chart]:
    """Relative FD along training, against images or seconds; none where no run is followed."""
    runs = [results.runs[name] for name in results.fd_curves]
    return [_fd_curve(results, runs)] if runs else []


def _fd_curve(results: Results, runs: list[RunResult]) -> Chart:
    found = list(results.fd_curves.values())
    against = alt.param(
        name="against", value="images", bind=alt.binding_radio(options=["images", "seconds"],
        labels=["images", "seconds"], name="Against: ")
    )  # fmt: skip
    x = alt.X("along:Q", title="thousand training images, or seconds of training")
    frame = tidy([row for run in runs for row in _points(results, run)])
    floor = 100 * found[0].relative_fd_floor
    y = alt.Y("relative FD, %:Q", title="relative FD, % (log)", scale=log_scale())
    y = y.axis(log_axis([floor, *frame["relative FD, %"]]))
    lines = run_lines(frame, x, y, points=True)
    lines = lines.transform_calculate(
        along="against == 'seconds' ? datum.seconds : datum['thousand images']"
    ).transform_filter("isValid(datum.along)")
    drawn = alt.layer(real_band(floor, floor, floor), lines).add_params(against)
    listed = "; ".join(f"{p.run} ends at {100 * p.points[-1].relative_fd:.1f} %" for p in found)
    one = found[0]
    return chart(
        drawn.properties(height=320),
        "fd-curve",
        "Relative FD along training",
        f"Averaged weights along training, each point {one.count:,} images drawn in {one.steps} "
        f"steps of {SAMPLERS[one.sampler]}, unguided, from the same noise: good for comparing with "
        "one another, not with the tables. No interval.",
        f"Relative FD along training. {listed}.",
    )


def _points(results: Results, run: RunResult) -> list[dict[str, Any]]:
    pace = run.seconds_per_image
    return [
        {
            "run": run.name,
            "thousand images": point.images / 1000,
            "seconds": NAN if pace is None else pace * point.images,
            "relative FD, %": 100 * point.relative_fd,
        }
        for point in results.fd_curves[run.name].points
    ]
