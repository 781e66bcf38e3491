"""Charts of choices of drawing: quality against cost, guidance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from mnist_diffusion.evaluation.metrics import METRICS
from mnist_diffusion.provenance.schemas.artifact import Spread
from mnist_diffusion.reporting import charts, labels
from mnist_diffusion.reporting.charts import Chart, chart
from mnist_diffusion.reporting.labels import SAMPLERS
from mnist_diffusion.reporting.results import CellResult, Results, of_usual_n

SAMPLER_COLOURS = charts.in_turn(SAMPLERS)
LEAST = 1e-4
"""What is drawn of a share that may be 0, where the scale is logarithmic."""


def cost(results: Results) -> Chart:
    """Relative FD with its interval against network evaluations, a line per sampler."""
    students = results.settings.students
    taught = [cell for cell in results.chosen("students") if cell.run.name in students]
    cells = [*results.chosen("samplers"), *taught]
    frame = charts.tidy([_cost_row(cell) for cell in cells])
    used = dict.fromkeys(cell.settings.sampler for cell in cells)
    looks = {SAMPLERS[key]: SAMPLER_COLOURS[key] for key in used}
    switch = charts.legend_switch("sampler")
    colour = alt.Color("sampler:N", scale=charts.scale_of(looks), legend=alt.Legend(title=None))
    evaluations = "network evaluations per image"
    x = charts.logarithmic(alt.X, "evaluations", evaluations, frame["evaluations"])
    real = _above_zero(results.baseline("fd_infinity", of_usual_n(cells)[0]))
    y = charts.logarithmic(alt.Y, "value", "relative FD∞, %", [100 * real.low, *frame["high"]])
    base = alt.Chart(frame).encode(color=colour, opacity=charts.fading(switch))
    rules, lines, points = charts.with_intervals(base, x, y)
    points = points.encode(shape=alt.Shape("sampler:N", legend=None)).add_params(switch)
    drawn = alt.layer(charts.real_band(real), rules, lines, points)
    listed = "; ".join(f"{r.sampler}, {r.evaluations}: {r.value:.2f} %" for r in frame.itertuples())
    return chart(
        drawn.properties(height=340),
        "cost",
        "Quality against cost",
        "Lower left is better; bars are 95 % intervals. Grey: what real test digits score at the "
        "same n, no bound. What is distilled is guided. Choose a sampler in the legend to single "
        "it out; a point leads to its cell.",
        f"Relative FD∞ against network evaluations per image. {listed}.",
    )


def _cost_row(cell: CellResult) -> dict[str, Any]:
    return _scored(cell.name, cell.score("fd_infinity"), cell.interval("fd_infinity")) | {
        "sampler": SAMPLERS[cell.settings.sampler],
        "evaluations": cell.evaluations,
        "accuracy": 100 * cell.score("accuracy"),
        "ms an image": cell.milliseconds,
    }


def _scored(cell: str, value: float, interval: Sequence[float]) -> dict[str, Any]:
    low, high = interval
    return {
        "cell": cell,
        "value": 100 * value,
        "low": 100 * low,
        "high": 100 * high,
        "interval": f"{100 * low:.2f} to {100 * high:.2f} %",
        "link": f"#cell-{cell}",
    }


PANELS = {
    "accuracy": ("Accuracy", "How often the classifier sees the digit asked for."),
    "fd_infinity": ("Relative FD∞", "Lower is nearer to real digits."),
    "recall": ("Recall", "The share of real digits that have a drawn one near: variety."),
    "tstr": ("TSTR accuracy", "A classifier trained on the samples, tested on real digits."),
}
"""Metrics against s: title, caption."""
PANEL_COLOURS = charts.in_turn(PANELS)


def guidance_panels(results: Results) -> list[Chart]:
    """Accuracy, relative FD, recall and TSTR against the scale of guidance by the run itself."""
    own = [cell for cell in results.chosen("guidance") if not labels.guide(cell.settings)]
    cells = sorted(own, key=lambda cell: cell.settings.guidance)
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
    title, caption = PANELS[name]
    frame = charts.tidy(rows)
    x = alt.X("s:Q", title="guidance scale s").scale(type="symlog", constant=1)
    x = x.axis(values=sorted(frame["s"]), format="~g", labelOverlap=True)
    y = alt.Y("value:Q", title=f"{title}, %").scale(zero=False)
    real = _real(results, name, results.cells[rows[0]["cell"]])
    if name == "fd_infinity":
        real = _above_zero(real)
        y = charts.logarithmic(alt.Y, "value", f"{title}, %", [100 * real.low, *frame["high"]])
    base = alt.Chart(frame).encode(color=alt.value(PANEL_COLOURS[name]))
    drawn = alt.layer(charts.real_band(real, "real digits"), *charts.with_intervals(base, x, y))
    listed = "; ".join(f"s = {row['s']:g}: {row['value']:.2f} %" for row in rows)
    return chart(
        drawn.properties(height=220),
        f"guidance-{charts.slug(name)}",
        title,
        f"{caption} Grey: real digits.",
        f"{title} against the guidance scale. {listed}.",
    )
