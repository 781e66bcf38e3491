"""Charts of the metrics themselves: against n, and up a ladder of spoilt digits."""

from __future__ import annotations

import altair as alt
import pandas as pd

from mnist_diffusion.reporting.charts.chart import (
    PALETTE,
    Chart,
    chart,
    fading,
    legend_switch,
    scale_of,
    tidy,
)
from mnist_diffusion.reporting.results import Results
from mnist_diffusion.reporting.words import METRICS

TICKS = [-10, -3, -1, 0, 1, 3, 10, 30, 100, 300, 1000]


def against_n(results: Results) -> list[Chart]:
    """What real digits score, by the size of the set: a small chart per metric."""
    frame = tidy([one.model_dump() for one in results.evidence.calibration.against_n])
    if frame.empty:
        return []
    return [_by_n(metric, own) for metric, own in frame.groupby("metric", sort=False)]


def _by_n(metric: object, own: pd.DataFrame) -> Chart:
    base = alt.Chart(own)
    x = alt.X("n:Q", title="n (log)").scale(type="log", nice=False)
    x = x.axis(values=sorted(set(own["n"])), labelOverlap=True)
    band = base.mark_area(opacity=0.25, color="var(--blue)").encode(
        x=x, y=alt.Y("low:Q", title=None).scale(zero=False), y2=alt.Y2("high:Q")
    )
    line = base.mark_line(color="var(--blue)", point={"color": "var(--blue)"}).encode(
        x=x, y=alt.Y("mean:Q").scale(zero=False), tooltip=["n:Q", "mean:Q", "low:Q", "high:Q"]
    )
    title = METRICS.get(str(metric), str(metric))
    ends = own.sort_values("n")["mean"]
    return chart(
        alt.layer(band, line).properties(height=130),
        f"n-{_slug(metric)}",
        title,
        "",
        f"{title} of real test digits from {ends.iloc[0]:.3g} to {ends.iloc[-1]:.3g} as n grows "
        f"from {own['n'].min():,} to {own['n'].max():,}.",
    )


def ladder(results: Results) -> list[Chart]:
    """How each metric moves as digits are spoilt: a small chart per corruption."""
    rungs = [one.model_dump() for one in results.evidence.calibration.ladder]
    frame = tidy([rung for rung in rungs if rung["relative_to_floor"] is not None])
    if frame.empty:
        return []
    frame["metric"] = frame["metric"].map(lambda name: METRICS.get(name, name))
    metrics = list(dict.fromkeys(frame["metric"]))
    return [
        _spoilt(corruption, own, metrics)
        for corruption, own in frame.groupby("corruption", sort=False)
    ]


def _spoilt(corruption: object, own: pd.DataFrame, metrics: list[str]) -> Chart:
    switch = legend_switch("metric")
    drawn = alt.Chart(own).mark_line(point=True)
    encoded = drawn.encode(
        x=alt.X("severity:Q", title="severity").axis(
            values=sorted(set(own["severity"])), format="~g", labelOverlap=True
        ),
        y=alt.Y("relative_to_floor:Q", title="floor widths worse (symlog)")
        .scale(type="symlog")
        .axis(values=TICKS),
        color=alt.Color(
            "metric:N", scale=scale_of(metrics, PALETTE), legend=alt.Legend(title=None, columns=2)
        ),
        opacity=fading(switch),
        tooltip=["metric:N", "severity:Q", "value:Q", "relative_to_floor:Q"],
    )
    worst = own[own["severity"] == own["severity"].max()]
    told = "; ".join(f"{row.metric} {row.relative_to_floor:.3g}" for row in worst.itertuples())
    return chart(
        encoded.add_params(switch).properties(height=200),
        f"ladder-{_slug(corruption)}",
        str(corruption).capitalize(),
        "",
        f"By how many widths of its floor each metric is worse as digits are spoilt, {corruption}. "
        f"At the end: {told}.",
    )


def _slug(name: object) -> str:
    return "".join(c if c.isalnum() else "-" for c in str(name).lower())
