"""Parts that charts are made of: yardsticks, whiskers, lines with looks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt
import pandas as pd

from mnist_diffusion.reporting.charts.chart import COLOURS, DASHES, SOFT, fading, legend_switch

Looks = Mapping[str, dict[str, Any]]
"""A line's colour and dashes by its name, as the static figures have them."""


def yardstick(mean: float, low: float, high: float, text: str) -> Any:
    """What real digits score: a line, and a band where random sets differ."""
    data = pd.DataFrame([{"mean": mean, "low": low, "high": high, "text": text}])
    base = alt.Chart(data)
    band = base.mark_rect(color="var(--grey)", opacity=0.25).encode(
        y=alt.Y("low:Q"), y2=alt.Y2("high:Q")
    )
    line = base.mark_rule(color=SOFT, strokeWidth=1).encode(y="mean:Q")
    words = base.mark_text(align="left", baseline="bottom", dx=4, dy=-2, fontSize=11).encode(
        x=alt.value(0), y="high:Q", text="text:N"
    )
    return alt.layer(band, line, words)


def whiskers(base: alt.Chart, x: Any, value: str, colour: Any) -> alt.Chart:
    """The 95 % intervals: columns <value>_low and <value>_high."""
    return base.mark_rule(strokeWidth=1.6).encode(
        x=x, y=alt.Y(f"{value}_low:Q"), y2=alt.Y2(f"{value}_high:Q"), color=colour
    )


def looks_scales(looks: Looks) -> tuple[alt.Scale, alt.Scale]:
    """Colour and dash scales of some named lines."""
    names = list(looks)
    colours = [COLOURS[look["color"]] for look in looks.values()]
    dashes = [DASHES[look["linestyle"]] for look in looks.values()]
    return alt.Scale(domain=names, range=colours), alt.Scale(domain=names, range=dashes)


def run_lines(frame: pd.DataFrame, looks: Looks, x: alt.X, y: alt.Y, points: bool) -> alt.Chart:
    """A line per run that the legend can single out."""
    colours, dashes = looks_scales(looks)
    switch = legend_switch("run")
    legend = alt.Legend(title=None, columns=1, symbolType="stroke", symbolSize=300)
    drawn = alt.Chart(frame).mark_line(point=points)
    encoded = drawn.encode(
        x=x,
        y=y,
        color=alt.Color("run:N", scale=colours, legend=legend),
        strokeDash=alt.StrokeDash("run:N", scale=dashes, legend=legend),
        opacity=fading(switch),
        tooltip=[alt.Tooltip(f"{column}:{_kind(frame, column)}") for column in frame.columns],
    )
    return encoded.add_params(switch)


def _kind(frame: pd.DataFrame, column: str) -> str:
    return "Q" if pd.api.types.is_numeric_dtype(frame[column]) else "N"
