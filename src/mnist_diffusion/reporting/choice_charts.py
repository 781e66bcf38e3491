"""Charts of what choices matter: paired differences, quality against cost, guidance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from mnist_diffusion.evaluation.metrics import METRICS
from mnist_diffusion.provenance.schemas.artifact import Spread
from mnist_diffusion.reporting import charts
from mnist_diffusion.reporting.charts import Chart, chart
from mnist_diffusion.reporting.frames import comparisons_frame
from mnist_diffusion.reporting.labels import SAMPLERS, TABLE_TITLES
from mnist_diffusion.reporting.results import NAN, CellResult, Results

FEATURES = {"relative_fd": "classifier", "second_relative_fd": "autoencoder"}
"""By the metrics that are compared."""
TOLD = ["cell", "baseline", "features", "difference", "low", "high", "p (Holm)", "verdict", "n"]
SHOWN = ["row", "link", *TOLD]
COLOURS = charts.scale_of({"classifier": charts.INK, "autoencoder": charts.ORANGE})
SHAPES = charts.scale_of({"classifier": "circle", "autoencoder": "diamond"})
ROW_HEIGHT = 20
TICKS = [-100, -50, -20, -10, -5, -2, -1, 0, 1, 2, 5, 10, 20, 50, 100, 200]
SAMPLER_COLOURS = charts.in_turn(SAMPLERS)


def forests(results: Results) -> dict[str, list[Chart]]:
    """Every choice against what it is an alternative to: all together, and by table."""
    frame = comparisons_frame(results)
    found = {"forest": forest(frame, "forest", "Which choice matters")}
    for table, title in TABLE_TITLES.items():
        found[f"forest-{table}"] = forest(frame[frame["table"] == table], f"forest-{table}", title)
    return found


def forest(compared: pd.DataFrame, name: str, title: str) -> list[Chart]:
    """Differences in relative FD under both feature extractors, a row a pair; none for no pair.

    compared: rows of the frame of comparisons.
    """
    frame = charts.tidy(_differences(compared))
    if frame.empty:
        return []
    order = _under_headings(frame)
    first = frame[frame["features"] == "classifier"]
    listed = "; ".join(f"{r.cell} {r.difference:+.2f}" for r in first.itertuples())
    seeds = compared["training_seeds"].max()
    trained = f"{seeds} training seeds." if seeds > 1 else "One training seed."
    drawn = chart(
        _forest(frame, order).properties(height=ROW_HEIGHT * len(order)),
        name,
        f"{title}: change in relative FD, in points",
        "Left of 0 is better than the cell named above (vs). Paired by image: the same starting "
        "noise; 95 % intervals over images, not over trainings; faint: not distinguishable, by "
        f"Holm over the table. {trained}",
        f"Change in relative FD, under the classifier's features: {listed}.",
    )
    return [drawn]


def _differences(compared: pd.DataFrame) -> pd.DataFrame:
    """Each pair once, whatever the tables that it stands in."""
    pairs = compared.assign(
        row=compared["baseline"] + "|" + compared["cell"],
        features=compared["metric"].map(FEATURES),
        link="#cell-" + compared["cell"],
    )
    pairs = pairs.rename(columns={"p_holm": "p (Holm)"}).dropna(subset="features")
    return pairs.drop_duplicates(["row", "features"])[SHOWN]


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
        tooltip=charts.told(frame[TOLD]),
    )  # fmt: skip
    bars = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"))
    zero = alt.Chart(pd.DataFrame({"x": [0]})).mark_rule(strokeDash=[4, 3]).encode(x="x:Q")
    return alt.layer(zero, bars, dots)


def cost(results: Results) -> Chart:
    """Relative FD with its interval against network evaluations, a line per sampler."""
    frame = charts.tidy([_cost_row(cell) for cell in results.chosen("samplers")])
    used = dict.fromkeys(cell.settings.sampler for cell in results.chosen("samplers"))
    looks = {SAMPLERS[key]: SAMPLER_COLOURS[key] for key in used}
    switch = charts.legend_switch("sampler")
    colour = alt.Color("sampler:N", scale=charts.scale_of(looks), legend=alt.Legend(title=None))
    evaluations = "network evaluations per image"
    x = charts.logarithmic(alt.X, "evaluations", evaluations, frame["evaluations"])
    real = results.baseline("relative_fd")
    y = charts.logarithmic(alt.Y, "value", "relative FD, %", [100 * real.low, *frame["high"]])
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
        "same n, no bound. Choose a sampler in the legend to single it out; a point leads to its "
        "cell.",
        f"Relative FD against network evaluations per image. {listed}.",
    )


def _cost_row(cell: CellResult) -> dict[str, Any]:
    pace = NAN if cell.seconds is None else 1000 * cell.seconds / cell.metrics.n
    return _scored(cell.name, cell.score("relative_fd"), cell.interval("relative_fd")) | {
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
        "low": 100 * low,
        "high": 100 * high,
        "interval": f"{100 * low:.2f} to {100 * high:.2f} %",
        "link": f"#cell-{cell}",
    }


PANELS = {
    "accuracy": ("Accuracy", "How often the classifier sees the digit asked for."),
    "relative_fd": ("Relative FD", "Lower is nearer to real digits."),
    "recall": ("Recall", "The share of real digits that have a drawn one near: variety."),
    "tstr": ("TSTR accuracy", "A classifier trained on the samples, tested on real digits."),
}
"""Metrics against s: title, caption."""
PANEL_COLOURS = charts.in_turn(PANELS)


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


def _real(results: Results, name: str, n: int) -> Spread:
    if name in METRICS and name != "accuracy":
        return results.baseline(name, n)
    trained = [one.real_accuracy for one in results.tstr.values()]
    value = results.classifier.accuracy if name == "accuracy" else max(trained)
    return Spread(mean=value, low=value, high=value)


def _panel(results: Results, name: str, rows: list[dict[str, Any]]) -> Chart:
    title, caption = PANELS[name]
    frame = charts.tidy(rows)
    x = alt.X("s:Q", title="guidance scale s").scale(type="symlog", constant=1)
    x = x.axis(values=sorted(frame["s"]), format="~g", labelOverlap=True)
    y = alt.Y("value:Q", title=f"{title}, %").scale(zero=False)
    real = _real(results, name, results.cells[rows[0]["cell"]].metrics.n)
    if name == "relative_fd":
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
