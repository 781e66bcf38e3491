"""Charts of choices of drawing: quality against cost, guidance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from mnist_diffusion.evaluation.metrics import METRICS
from mnist_diffusion.provenance.schemas.artifact import Spread
from mnist_diffusion.reporting.charts import (
    BLUE,
    GREEN,
    ORANGE,
    PINK,
    Chart,
    chart,
    fading,
    in_turn,
    legend_switch,
    log_axis,
    log_scale,
    real_band,
    scale_of,
    slug,
    tidy,
    whiskers,
)
from mnist_diffusion.reporting.labels import SAMPLERS
from mnist_diffusion.reporting.results import CellResult, Results

SAMPLER_COLOURS = in_turn(SAMPLERS)
LEAST = 1e-4
"""What is drawn of a share that may be 0, where the scale is logarithmic."""


def cost(results: Results) -> Chart:
    """Relative FD with its interval against network evaluations, a line per sampler."""
    frame = tidy([_cost_row(cell) for cell in results.chosen("samplers")])
    used = dict.fromkeys(cell.settings.sampler for cell in results.chosen("samplers"))
    looks = {SAMPLERS[key]: SAMPLER_COLOURS[key] for key in used}
    switch = legend_switch("sampler")
    colour = alt.Color("sampler:N", scale=scale_of(looks), legend=alt.Legend(title=None))
    x = alt.X("evaluations:Q", title="network evaluations per image (log)", scale=log_scale())
    x = x.axis(log_axis(frame["evaluations"]))
    real = _above_zero(results.baseline("fd_infinity"))
    y = alt.Y("value:Q", title="relative FD∞, % (log)", scale=log_scale())
    y = y.axis(log_axis([100 * real.low, *frame["value_high"]]))
    base = alt.Chart(frame).encode(opacity=fading(switch))
    dots = base.mark_point(size=90).encode(
        x=x, y=y, color=colour, shape=alt.Shape("sampler:N", legend=None), href="link:N",
        tooltip=["cell:N", "sampler:N", "evaluations:Q", "value:Q", "interval:N", "accuracy:Q",
                 "ms an image:Q"],
    )  # fmt: skip
    drawn = alt.layer(
        real_band(100 * real.mean, 100 * real.low, 100 * real.high),
        whiskers(base, x, "value", colour),
        base.mark_line().encode(x=x, y=y, color=colour),
        dots.add_params(switch),
    )
    listed = "; ".join(f"{r.sampler}, {r.evaluations}: {r.value:.2f} %" for r in frame.itertuples())
    return chart(
        drawn.properties(height=340),
        "cost",
        "Quality against cost",
        "Lower left is better; bars are 95 % intervals. Grey: what real test digits score at the "
        "same n, no bound. Choose a sampler in the legend to single it out; a point leads to its "
        "cell.",
        f"Relative FD∞ against network evaluations per image. {listed}.",
    )


def _cost_row(cell: CellResult) -> dict[str, Any]:
    pace = float("nan") if cell.seconds is None else 1000 * cell.seconds / cell.metrics.n
    return _scored(cell.name, cell.score("fd_infinity"), cell.interval("fd_infinity")) | {
        "sampler": SAMPLERS[cell.settings.sampler],
        "evaluations": cell.evaluations,
        "accuracy": 100 * cell.score("accuracy"),
        "ms an image": pace,
    }


def _scored(cell: str, value: float, interval: Sequence[float]) -> dict[str, Any]:
    low, high = interval
    return {
        "cell": cell,
        "value": 100 * value,
        "value_low": 100 * low,
        "value_high": 100 * high,
        "interval": f"{100 * low:.2f} to {100 * high:.2f} %",
        "link": f"#cell-{cell}",
    }


PANELS = {
    "accuracy": ("Accuracy", BLUE, "How often the classifier sees the digit asked for."),
    "fd_infinity": ("Relative FD∞", ORANGE, "Lower is nearer to real digits."),
    "recall": ("Recall", GREEN, "The share of real digits that have a drawn one near: variety."),
    "tstr": ("TSTR accuracy", PINK, "A classifier trained on the samples, tested on real digits."),
}
"""Metrics against s: title, colour, caption."""


def guidance_panels(results: Results) -> list[Chart]:
    """Accuracy, relative FD, recall and TSTR against the guidance scale, with intervals."""
    cells = sorted(results.chosen("guidance"), key=lambda cell: cell.settings.guidance)
    found = {name: _panel_rows(results, cells, name) for name in PANELS}
    return [_panel(results, name, rows) for name, rows in found.items() if rows]


def _panel_rows(results: Results, cells: list[CellResult], name: str) -> list[dict[str, Any]]:
    """Of the cells that have a value."""
    rows = []
    for cell in cells:
        if name == "tstr":
            trained = results.tstr.get(cell.name)
            known = (trained.accuracy, trained.interval) if trained else None
        else:
            known = cell.score(name), cell.interval(name)
        if known and not pd.isna(known[1][0]):
            rows.append(_scored(cell.name, *known) | {"s": cell.settings.guidance})
    return rows


def _real(results: Results, name: str, cell: CellResult) -> Spread:
    if name in METRICS and name != "accuracy":
        return results.baseline(name, cell)
    trained = [one.real_accuracy for one in results.tstr.values()]
    value = results.classifier.accuracy if name == "accuracy" else max(trained)
    return Spread(mean=value, low=value, high=value)


def _above_zero(real: Spread) -> Spread:
    """For a logarithm, which has no room for what luck puts below 0."""
    return Spread(**{end: max(LEAST, value) for end, value in real.model_dump().items()})


def _panel(results: Results, name: str, rows: list[dict[str, Any]]) -> Chart:
    title, colour, caption = PANELS[name]
    frame, log = tidy(rows), name == "fd_infinity"
    x = alt.X("s:Q", title="guidance scale s").scale(type="symlog", constant=1)
    x = x.axis(values=sorted(frame["s"]), format="~g", labelOverlap=True)
    y = alt.Y("value:Q", title=f"{title}, %{' (log)' if log else ''}")
    real = _real(results, name, results.cells[rows[0]["cell"]])
    if log:
        real = _above_zero(real)
        y = y.scale(log_scale()).axis(log_axis([100 * real.low, *frame["value_high"]]))
    else:
        y = y.scale(zero=False)
    base = alt.Chart(frame)
    line = base.mark_line(color=colour).encode(x=x, y=y)
    dots = base.mark_point(color=colour, size=80).encode(
        x=x, y=y, href="link:N", tooltip=["cell:N", "s:Q", "value:Q", "interval:N"]
    )
    band = real_band(100 * real.mean, 100 * real.low, 100 * real.high, "real digits")
    drawn = alt.layer(band, whiskers(base, x, "value", alt.value(colour)), line, dots)
    listed = "; ".join(f"s = {row['s']:g}: {row['value']:.2f} %" for row in rows)
    return chart(
        drawn.properties(height=220),
        f"guidance-{slug(name)}",
        title,
        f"{caption} Grey: real digits.",
        f"{title} against the guidance scale. {listed}.",
    )
