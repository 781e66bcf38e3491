"""Charts of what choices matter: paired differences, quality against cost, guidance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from mnist_diffusion.evaluation.metrics import METRICS
from mnist_diffusion.provenance.schemas.artifact import Spread
from mnist_diffusion.provenance.schemas.cell_reports import PairedComparison
from mnist_diffusion.reporting.charts import (
    BLUE,
    GREEN,
    INK,
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
from mnist_diffusion.reporting.labels import SAMPLERS, TABLE_TITLES
from mnist_diffusion.reporting.results import CellResult, Results

FEATURES = {"fd_infinity": "classifier", "second_fd_infinity": "autoencoder"}
"""By the metrics that are compared."""
COLOURS = scale_of({"classifier": INK, "autoencoder": ORANGE})
SHAPES = scale_of({"classifier": "circle", "autoencoder": "diamond"})
ROW_HEIGHT = 20
TICKS = [-100, -50, -20, -10, -5, -2, -1, 0, 1, 2, 5, 10, 20, 50, 100, 200]
SAMPLER_COLOURS = in_turn(SAMPLERS)
LEAST = 1e-4
"""What is drawn of a share that may be 0, where the scale is logarithmic."""


def forests(results: Results) -> dict[str, list[Chart]]:
    """Every choice against what it is an alternative to: all together, and by table."""
    everything = forest(results, "forest", results.compared.comparisons)
    found = {"forest": [everything] if everything else []}
    for table, title in TABLE_TITLES.items():
        own = [one for one in results.compared.comparisons if one.table == table]
        drawn = forest(results, f"forest-{table}", own, title)
        found |= {f"forest-{table}": [drawn] if drawn else []}
    return found


def forest(
    results: Results, name: str, compared: Sequence[PairedComparison], title: str = ""
) -> Chart | None:
    """Differences in relative FD under both feature extractors, a row a pair; None for no pair."""
    pairs = {(one.cell, one.baseline, one.metric): one for one in reversed(compared)}
    rows = [_difference(one) for one in reversed(pairs.values()) if one.metric in FEATURES]
    if not rows:
        return None
    frame = tidy(rows)
    order = _under_headings(frame)
    first = frame[frame["features"] == "classifier"]
    listed = "; ".join(f"{r.cell} {r.difference:+.2f}" for r in first.itertuples())
    seeds = max(one.training_seeds for one in compared)
    trained = f"{seeds} training seeds." if seeds > 1 else "One training seed."
    return chart(
        _forest(frame, order).properties(height=ROW_HEIGHT * len(order)),
        name,
        f"{title or 'Which choice matters'}: change in relative FD∞, in points",
        "Left of 0 is better than the cell named above (vs). Paired by image: the same starting "
        "noise; 95 % intervals over images, not over trainings; faint: not distinguishable; all "
        f"intervals of a table hold at once. {trained}",
        f"Change in relative FD∞, under the classifier's features: {listed}.",
    )


def _under_headings(frame: pd.DataFrame) -> list[str]:
    """Rows by baseline, each under its heading, from the best to the worst."""
    order: list[str] = []
    for baseline, own in frame.groupby("baseline", sort=False):
        own = own.sort_values(["features", "difference"], ascending=[False, True])
        order += [f"{baseline}|vs {baseline}", *dict.fromkeys(own["row"])]
    return order


def _forest(frame: pd.DataFrame, order: Sequence[str]) -> Any:
    """Points with intervals about a line at 0, the far ones drawn nearer."""
    legend = alt.Legend(title=None, columns=1, orient="top")  # more would not fit on a phone
    last = "slice(datum.label, lastindexof(datum.label, '|') + 1)"
    bold: Any = {"condition": {"test": "indexof(datum.label, '|vs ') > 0", "value": "bold"}}
    weight = bold | {"value": "normal"}
    axis = alt.Axis(labelExpr=last, labelFontWeight=weight, labelLimit=230, ticks=False)
    x = alt.X("difference:Q", title="points (symlog)")
    x = x.scale(type="symlog", constant=1).axis(values=TICKS)
    base = alt.Chart(frame).encode(
        y=alt.Y("row:N", title=None, axis=axis).scale(domain=list(order)),
        yOffset=alt.YOffset("features:N", sort=["classifier", "autoencoder"]),
        color=alt.Color("features:N", scale=COLOURS, legend=legend),
        opacity=alt.when("datum.verdict == 'not distinguishable'")
        .then(alt.value(0.35))
        .otherwise(alt.value(1)),
    )
    dots = base.mark_point(size=45).encode(
        x=x, shape=alt.Shape("features:N", scale=SHAPES, legend=legend), href="link:N",
        tooltip=["cell:N", "baseline:N", "features:N", "difference:Q", "low:Q", "high:Q",
                 "p (table):Q", "verdict:N", "n:Q"],
    )  # fmt: skip
    bars = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"))
    zero = alt.Chart(pd.DataFrame({"x": [0]})).mark_rule(strokeDash=[4, 3]).encode(x="x:Q")
    return alt.layer(zero, bars, dots)


def _difference(one: PairedComparison) -> dict[str, Any]:
    return {
        "row": f"{one.baseline}|{one.cell}",
        "cell": one.cell,
        "baseline": one.baseline,
        "features": FEATURES.get(one.metric),
        "difference": 100 * one.difference,
        "low": 100 * one.interval[0],
        "high": 100 * one.interval[1],
        "p (table)": one.p_adjusted,
        "verdict": one.verdict,
        "n": one.n,
        "link": f"#cell-{one.cell}",
    }


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
