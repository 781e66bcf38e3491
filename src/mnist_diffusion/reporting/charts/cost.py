"""Charts of samplers against their cost, and of the levels that schedules leave."""

from __future__ import annotations

import altair as alt

from mnist_diffusion.reporting import style
from mnist_diffusion.reporting.charts.chart import (
    COLOURS,
    Chart,
    chart,
    fading,
    legend_switch,
    log_axis,
    log_scale,
    scale_of,
    tidy,
)
from mnist_diffusion.reporting.charts.marks import run_lines, whiskers, yardstick
from mnist_diffusion.reporting.curves import YARDSTICK, one_run_per_schedule
from mnist_diffusion.reporting.results import CellResult, Results
from mnist_diffusion.reporting.words import SAMPLERS

LEVELS = 120
"""Points of a line along the timesteps."""


def cost(results: Results) -> Chart:
    """Relative FD with its interval against network evaluations, a line per sampler."""
    frame = tidy([_cost_row(cell) for cell in results.chosen("samplers")])
    names = list(dict.fromkeys(frame["sampler"]))
    keys = {name: key for key, name in SAMPLERS.items()}
    colours = scale_of(names, [COLOURS[style.SAMPLER_MARKS[keys[name]][0]] for name in names])
    switch = legend_switch("sampler")
    colour = alt.Color("sampler:N", scale=colours, legend=alt.Legend(title=None))
    x = alt.X("evaluations:Q", title="network evaluations per image (log)", scale=log_scale())
    x = x.axis(log_axis(frame["evaluations"]))
    real = results.floor.relative_fd
    y = alt.Y("relative_fd:Q", title="relative FD, % (log)", scale=log_scale())
    y = y.axis(log_axis([100 * real.low, *frame["relative_fd_high"]]))
    base = alt.Chart(frame).encode(opacity=fading(switch))
    lines = base.mark_line().encode(x=x, y=y, color=colour)
    dots = base.mark_point(size=90).encode(
        x=x, y=y, color=colour, shape=alt.Shape("sampler:N", legend=None), href="link:N",
        tooltip=["cell:N", "sampler:N", "evaluations:Q", "relative_fd:Q", "interval:N",
                 "accuracy:Q", "ms an image:Q"],
    )  # fmt: skip
    floor = yardstick(100 * real.mean, 100 * real.low, 100 * real.high, "real test digits")
    drawn = alt.layer(
        floor, whiskers(base, x, "relative_fd", colour), lines, dots.add_params(switch)
    )
    points = "; ".join(
        f"{row.sampler}, {row.evaluations}: {row.relative_fd:.2f} %" for row in frame.itertuples()
    )
    return chart(
        drawn.properties(height=340),
        "cost",
        "Quality against cost",
        f"Lower left is better; bars are 95 % intervals. {YARDSTICK} Choose a sampler in the "
        "legend to single it out; a point leads to its cell.",
        f"Relative FD against network evaluations per image. {points}.",
    )


def _cost_row(cell: CellResult) -> dict[str, object]:
    low, high = cell.metrics.intervals["relative_fd"] or (float("nan"), float("nan"))
    seconds = float("nan") if cell.seconds is None else cell.seconds
    return {
        "cell": cell.name,
        "sampler": SAMPLERS[cell.settings.sampler],
        "evaluations": cell.manifest.network_evaluations,
        "relative_fd": 100 * cell.metrics.relative_fd,
        "relative_fd_low": 100 * low,
        "relative_fd_high": 100 * high,
        "interval": f"{100 * low:.2f} to {100 * high:.2f} %",
        "accuracy": float("nan") if cell.metrics.accuracy is None else 100 * cell.metrics.accuracy,
        "ms an image": 1000 * seconds / cell.metrics.n,
        "link": f"#cell-{cell.name}",
    }


def levels(results: Results) -> list[Chart]:
    """Signal left and log-SNR along the timesteps, a line per schedule."""
    runs = one_run_per_schedule(results)
    rows = []
    for name, run in runs.items():
        table = run.schedule.iloc[:: max(1, len(run.schedule) // LEVELS)]
        rows += [
            {"run": name, "t": row.t, "signal": row.alpha_bar, "log_snr": row.log_snr}
            for row in table.itertuples()
        ]
    frame = tidy(rows)
    looks = {
        name: {
            "color": style.SCHEDULE_COLOURS[name],
            "linestyle": "--" if run.settings.zero_terminal_snr else "-",
        }
        for name, run in runs.items()
    }
    x = alt.X("t:Q", title="timestep t")
    told = "; ".join(runs)
    return [
        chart(
            run_lines(frame, looks, x, alt.Y(f"{key}:Q", title=title), points=False).properties(
                height=240
            ),
            name,
            heading,
            caption,
            f"{heading} over timesteps for the schedules {told}: all fall from signal to noise.",
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
