"""The forest chart, which answers the title: what each choice does to the distance, on one axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import altair as alt
import pandas as pd

from mnist_diffusion.evaluation.metrics import COMPARED, METRICS
from mnist_diffusion.provenance.schemas.cell_reports import PairedComparison
from mnist_diffusion.provenance.schemas.claim_reports import EffectsReport
from mnist_diffusion.reporting.charts import INK, ORANGE, Chart, chart, scale_of, tidy
from mnist_diffusion.reporting.labels import TABLE_TITLES
from mnist_diffusion.reporting.results import Results

DISTANCE = next(name for name in COMPARED if METRICS[name].twin)
"""The distance that cells are ranked by; its twin is under the other extractor."""
COLOURS = scale_of({"classifier": INK, "autoencoder": ORANGE})
SHAPES = scale_of({"classifier": "circle", "autoencoder": "diamond"})
ROW_HEIGHT = 20
TICKS = [0.1, 0.2, 0.3, 0.5, 0.7, 0.85, 1, 1.2, 1.5, 2, 3, 5, 10, 20, 50, 100]
LETTER, WIDEST = 7, 230
"""Pixels of a letter of a choice's name, and of all its letters at most."""
NEAREST = 0.05
"""A ratio below this is drawn at this: a logarithmic axis has no end."""
ONE_TRAINING = "one training, vs "
"""Before what a cell is held against: over its images, not over trainings."""
SETTLED = ["better", "worse", "equivalent"]
IMAGES = (
    "Left of 1 is nearer to real digits than the cell named above (vs). Paired by image, of one "
    "training: the intervals are over images and say nothing of other trainings. Faint: "
    "unresolved."
)


def forest(results: Results) -> Iterator[Chart]:
    """Every choice against what it is an alternative to, a row each; none where there is none."""
    trained = [row for one in results.effects.values() for row in _trained(one)]
    rows = [*trained, *_compared(results)]
    if not rows:
        return
    frame = tidy(rows)
    order = _under_headings(frame)
    first = frame[frame["features"] == "classifier"]
    listed = "; ".join(f"{r.choice} ×{r.ratio:.2f}" for r in first.itertuples())
    yield chart(
        _drawn(frame, order).properties(height=ROW_HEIGHT * len(order)),
        "forest",
        "Which choice matters: the distance from real digits, as a multiple",
        _caption(results),
        f"Distance from real digits as a multiple, under the classifier's features: {listed}.",
    )


def _caption(results: Results) -> str:
    notes = [
        f"{name}: {one.trainings} trainings, simultaneous intervals on {one.df} degrees of "
        f"freedom, a training's spread {100 * next(iter(one.spread.values())):.0f} %"
        for name, one in results.effects.items()
    ]
    if not notes:
        return IMAGES
    return (
        f"Main effects of training ({'; '.join(notes)}) are about trainings. Below them, choices "
        f"of sampling. {IMAGES}"
    )


def _trained(report: EffectsReport) -> Iterator[dict[str, Any]]:
    for one in report.effects:
        heading = f"{one.factor}, vs {one.base}"
        yield _row(heading, one.level, one.metric, one.ratio, one.interval) | {
            "verdict": one.verdict,
            "of": f"{one.trainings} trainings",
            "link": "#choices-that-matter",
        }


def _compared(results: Results) -> Iterator[dict[str, Any]]:
    """Distances of paired cells as multiples of their baseline's, a pair once, where it has one."""
    pairs: dict[tuple[str, ...], PairedComparison] = {}
    for one in results.compared.comparisons:
        if one.table in TABLE_TITLES and one.metric in (DISTANCE, METRICS[DISTANCE].twin):
            pairs.setdefault((one.cell, one.baseline, one.metric), one)
    for one in pairs.values():
        if one.ratio:
            ratio = 1 + one.difference / results.cells[one.baseline].score(one.metric)
            yield _row(f"{ONE_TRAINING}{one.baseline}", one.cell, one.metric, ratio, one.ratio) | {
                "verdict": one.verdict,
                "of": f"{one.n:,} images",
                "link": f"#cell-{one.cell}",
            }


def _row(
    heading: str, name: str, metric: str, ratio: float, interval: tuple[float, float]
) -> dict[str, Any]:
    low, high = (max(end, NEAREST) for end in interval)
    return {
        "row": f"{heading}|{name}",
        "heading": heading,
        "choice": name,
        "features": METRICS[metric].network,
        "ratio": max(ratio, NEAREST),
        "low": low,
        "high": high,
    }


def _under_headings(frame: pd.DataFrame) -> list[str]:
    """Rows by what they are held against, each group under its heading, the best first."""
    order: list[str] = []
    for heading, own in frame.groupby("heading", sort=False):
        own = own.sort_values(["features", "ratio"], ascending=[False, True])
        order += [f"{heading}|# {heading}", *dict.fromkeys(own["row"])]
    return order


def _drawn(frame: pd.DataFrame, order: Sequence[str]) -> Any:
    """Points with intervals about a line at 1, on a logarithmic axis."""
    legend = alt.Legend(title=None, columns=1, orient="top")  # more would not fit on a phone
    last = "slice(datum.label, lastindexof(datum.label, '|') + 1)"
    names = min(WIDEST, LETTER * max(map(len, frame["choice"])))
    axis = alt.Axis(labelExpr=f"indexof(datum.label, '|# ') < 0 ? {last} : ''", labelLimit=names,
                    minExtent=names, maxExtent=names, ticks=False)  # fmt: skip
    y = alt.Y("row:N", title=None, axis=axis).scale(domain=list(order))
    ends = (0.999 * frame["low"].min(), 1.001 * frame["high"].max())
    ticks = [tick for tick in TICKS if ends[0] <= tick <= ends[1]]
    x = alt.X("ratio:Q", title="times the distance (log)").axis(values=ticks, format="~g")
    x = x.scale(type="log", nice=False, padding=12)
    base = alt.Chart(frame).encode(
        y=y,
        yOffset=alt.YOffset("features:N", sort=["classifier", "autoencoder"]),
        color=alt.Color("features:N", scale=COLOURS, legend=legend),
        opacity=alt.when(alt.FieldOneOfPredicate("verdict", SETTLED))
        .then(alt.value(1))
        .otherwise(alt.value(0.35)),
    )
    dots = base.mark_point(size=45).encode(
        x=x, shape=alt.Shape("features:N", scale=SHAPES, legend=legend), href="link:N",
        tooltip=["choice:N", "heading:N", "features:N", "ratio:Q", "low:Q", "high:Q", "verdict:N",
                 "of:N"],
    )  # fmt: skip
    bars = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"))
    one = alt.Chart(pd.DataFrame({"x": [1.0]})).mark_rule(strokeDash=[4, 3]).encode(x="x:Q")
    # Headings begin where names do, so that they leave the plot its width on a phone.
    headings = alt.Chart(frame).transform_aggregate(choices="count()", groupby=["heading"])
    headings = headings.transform_calculate(row="datum.heading + '|# ' + datum.heading")
    words = headings.mark_text(align="left", fontWeight="bold", color=INK).encode(
        y=y, x=alt.value(-names), text="heading:N"
    )
    return alt.layer(one, bars, dots, words)
