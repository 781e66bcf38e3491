"""Charts of choices of drawing: quality against cost, guidance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isnan
from typing import Any

import altair as alt

from mnist_diffusion.provenance.schemas.artifact import Spread
from mnist_diffusion.reporting import charts
from mnist_diffusion.reporting.charts import Chart, chart
from mnist_diffusion.reporting.labels import SAMPLERS, guide
from mnist_diffusion.reporting.results import NAN, CellResult, Results, of_usual_n

SAMPLER_COLOURS = charts.in_turn(SAMPLERS)
LEAST = 1e-4
"""What is drawn of a share that may be 0, where the scale is logarithmic."""
PANELS = {
    "accuracy": ("Accuracy", "How often the classifier sees the digit asked for."),
    "fd_infinity": ("Relative FD∞", "Lower is nearer to real digits."),
    "recall": ("Recall", "The share of real digits that have a drawn one near: variety."),
    "tstr": ("TSTR accuracy", "A classifier trained on the samples, tested on real digits."),
}
"""Metrics against s: title, caption."""
PANEL_COLOURS = charts.in_turn(PANELS)


def cost(results: Results) -> Iterator[Chart]:
    """Relative FD with its interval against network evaluations, a line per sampler."""
    students = results.settings.students
    taught = [cell for cell in results.chosen("students") if cell.run.name in students]
    cells = [*results.chosen("samplers"), *taught]
    frame = charts.tidy([_cost_row(cell) for cell in cells])
    used = dict.fromkeys(cell.settings.sampler for cell in cells)
    looks = {SAMPLERS[key]: SAMPLER_COLOURS[key] for key in used}
    switch, opacity = charts.legend_switch("sampler")
    colour = alt.Color("sampler:N", scale=charts.scale_of(looks), legend=alt.Legend(title=None))
    evaluations = "network evaluations per image"
    x = charts.logarithmic(alt.X, "evaluations", evaluations, frame["evaluations"])
    real = _above_zero(results.baseline("fd_infinity", of_usual_n(cells)[0]))
    y = charts.logarithmic(alt.Y, "value", "relative FD∞, %", [100 * real.low, *frame["high"]])
    base = alt.Chart(frame).encode(color=colour, opacity=opacity)
    rules, lines, points = charts.with_intervals(base, x, y)
    points = points.encode(shape=alt.Shape("sampler:N", legend=None)).add_params(switch)
    drawn = alt.layer(charts.real_band(real), rules, lines, points)
    listed = "; ".join(f"{r.sampler}, {r.evaluations}: {r.value:.2f} %" for r in frame.itertuples())
    yield chart(
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


def guidance_panels(results: Results) -> Iterator[Chart]:
    """Accuracy, relative FD, recall and TSTR against the scale of guidance by the run itself."""
    own = [cell for cell in results.chosen("guidance") if not guide(cell.settings)]
    cells = sorted(own, key=lambda cell: cell.settings.guidance)
    for name in PANELS:
        scored = [(cell, *_score(results, cell, name)) for cell in cells]
        rows = [
            _scored(cell.name, value, interval) | {"s": cell.settings.guidance}
            for cell, value, interval in scored
            if not isnan(interval[0])
        ]
        if rows:
            yield _panel(name, rows, _real(results, name, results.cells[rows[0]["cell"]]))


def _score(results: Results, cell: CellResult, name: str) -> tuple[float, tuple[float, float]]:
    """With its interval; NaN where there is none."""
    if name != "tstr":
        return cell.score(name), cell.interval(name)
    trained = results.tstr.get(cell.name)
    return (trained.accuracy, trained.interval) if trained else (NAN, (NAN, NAN))


def _real(results: Results, name: str, cell: CellResult) -> Spread:
    """What real digits score: sets that are like a cell's, or all that there are."""
    if name not in ("accuracy", "tstr"):
        return results.baseline(name, cell)
    trained = [one.real_accuracy for one in results.tstr.values()]
    value = results.classifier.accuracy if name == "accuracy" else max(trained)
    return Spread(mean=value, low=value, high=value)


def _above_zero(real: Spread) -> Spread:
    """For a logarithm, which has no room for what luck puts below 0."""
    return Spread(**{end: max(LEAST, value) for end, value in real})


def _panel(name: str, rows: list[dict[str, Any]], real: Spread) -> Chart:
    title, caption = PANELS[name]
    frame = charts.tidy(rows)
    x = alt.X("s:Q", title="guidance scale s").scale(type="symlog", constant=1)
    x = x.axis(values=sorted(frame["s"]), format="~g", labelOverlap=True)
    y = alt.Y("value:Q", title=f"{title}, %").scale(zero=False)
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
