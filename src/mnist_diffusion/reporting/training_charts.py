"""Charts of schedules and trainings: what they leave, their losses, and FD along the way."""

from __future__ import annotations

from collections.abc import Iterator

import altair as alt
import pandas as pd

from mnist_diffusion.provenance.schemas.artifact import Spread
from mnist_diffusion.reporting import charts
from mnist_diffusion.reporting.charts import Chart, chart
from mnist_diffusion.reporting.labels import LOSSES, SAMPLERS, TABLE_TITLES
from mnist_diffusion.reporting.results import Results, RunResult, one_run_per_schedule
from mnist_diffusion.reporting.small_frames import fd_curves_frame

POINTS = 200
"""Of a loss curve."""
LEVELS = 120
"""Of a line along the timesteps."""
LATE = 0.75
"""The share of a training after which errors by timestep are taken."""
SIGNALS = (
    ("alpha_bar", "ᾱ(t)", "Signal left", "The share of the digit's variance left."),
    (
        *("log_snr", "ln(ᾱ / (1 − ᾱ))", "Log signal-to-noise ratio"),
        "Above 0 there is more digit than noise; a line that ends early falls to minus infinity.",
    ),
)
"""Of a schedule: column, axis, title, caption."""
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


def schedule_levels(results: Results) -> Iterator[Chart]:
    """Signal left and log-SNR along the timesteps, a line per schedule."""
    runs = one_run_per_schedule(results)
    levels = [
        run.schedule.iloc[:: max(1, len(run.schedule) // LEVELS)].assign(run=name)
        for name, run in runs.items()
    ]
    frame, x = charts.tidy(pd.concat(levels)), alt.X("t:Q", title="timestep t")
    for key, axis, title, caption in SIGNALS:
        own, y = frame[["run", "t", key]], alt.Y(f"{key}:Q", title=axis)
        yield chart(
            charts.lines_by("run", own, x, y, points=False).properties(height=240),
            charts.slug(key),
            title,
            caption,
            f"{title} over timesteps for the schedules {'; '.join(runs)}: all fall from signal to "
            "noise.",
        )


def losses(results: Results) -> Iterator[Chart]:
    """Training loss, a chart per loss that is minimised."""
    alike: dict[str, list[RunResult]] = {}
    for run in results.runs.values():
        alike.setdefault(run.settings.weighting, []).append(run)
    x = alt.X("thousand images:Q", title="thousand training images")
    for weighting, runs in alike.items():
        frame, name = charts.tidy(pd.concat([_history(run) for run in runs])), LOSSES[weighting]
        y = charts.logarithmic(alt.Y, "loss", name, frame["loss"])
        yield chart(
            charts.lines_by("run", frame, x, y, points=False).properties(height=260),
            f"loss-{weighting}",
            f"Loss minimised: {name}",
            f"Lightly smoothed. {INCOMPARABLE}" if len(runs) > 1 else "Lightly smoothed.",
            f"Training loss of {', '.join(run.name for run in runs)}, falling with images seen.",
        )


def _history(run: RunResult) -> pd.DataFrame:
    smoothed = run.history["loss"].ewm(span=5).mean()
    columns = {"run": run.name, "thousand images": run.history["images"] / 1000, "loss": smoothed}
    return pd.DataFrame(columns).iloc[:: max(1, len(run.history) // POINTS)]


def late_errors(results: Results) -> Iterator[Chart]:
    """Where along the noise levels each run errs at the end of its training, in one measure."""
    x = alt.X("timestep:Q", title="timestep t")
    for table, runs in groups(results).items():
        frame = charts.tidy(pd.concat([_late(run) for run in runs]))
        y = charts.logarithmic(alt.Y, "error", "mean squared error of ε", frame["error"])
        yield chart(
            charts.lines_by("run", frame, x, y).properties(height=260),
            f"late-errors-{table}",
            f"Error in ε by timestep: {TABLE_TITLES[table].lower()}",
            "By tenths of the timesteps, over the last quarter of the training: little noise left, "
            "much right. Measured alike whatever a run minimises, but importance sampling looks "
            "more often at the hard timesteps of a tenth.",
            f"The last error of {', '.join(run.name for run in runs)} over ten bins of timesteps.",
        )


def _late(run: RunResult) -> pd.DataFrame:
    rows = run.loss_by_timestep
    late = rows[rows["step"] > LATE * rows["step"].max()]
    middles = (late["bin_start"] + late["bin_end"]) / 2
    errors = late["loss"].groupby(middles).mean()
    return pd.DataFrame({"run": run.name, "timestep": errors.index, "error": errors.to_numpy()})


def fd_curves(results: Results) -> Iterator[Chart]:
    """Relative FD along training, against images or seconds; none where no run is followed."""
    if not results.fd_curves:
        return
    one, *_ = followed = list(results.fd_curves.values())
    against = alt.param(
        name="against", value="images", bind=alt.binding_radio(options=["images", "seconds"],
        labels=["images", "seconds"], name="Against: ")
    )  # fmt: skip
    x = alt.X("along:Q", title="thousand training images, or seconds of training")
    points = fd_curves_frame(results)
    paces = {run.name: run.seconds / run.history["images"].max() for run in results.runs.values()}
    frame = charts.tidy(points.assign(seconds=points["images"] * points["run"].map(paces)))
    floor, key = one.relative_fd_floor, "relative_fd_percent"
    y = charts.logarithmic(alt.Y, key, "relative FD, %", [100 * floor, *frame[key]])
    lines = charts.lines_by("run", frame, x, y)
    lines = lines.transform_calculate(
        along="against == 'seconds' ? datum.seconds : datum.images / 1000"
    ).transform_filter("isValid(datum.along)")
    real = charts.real_band(Spread(mean=floor, low=floor, high=floor))
    drawn = alt.layer(real, lines).add_params(against)
    listed = "; ".join(f"{p.run} ends at {100 * p.points[-1].relative_fd:.1f} %" for p in followed)
    yield chart(
        drawn.properties(height=320),
        "fd-curve",
        "Relative FD along training",
        f"Averaged weights along training, each point {one.count:,} images drawn in {one.steps} "
        f"steps of {SAMPLERS[one.sampler]}, unguided, from the same noise: good for comparing with "
        "one another, not with the tables. No interval.",
        f"Relative FD along training. {listed}.",
    )
