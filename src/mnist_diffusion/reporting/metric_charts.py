"""Charts of the metrics themselves: against n, on corrupted digits, and how the classifier errs."""

from __future__ import annotations

from collections.abc import Iterator

import altair as alt
import numpy as np
import pandas as pd

from mnist_diffusion.evaluation.metrics import METRICS
from mnist_diffusion.reporting import charts
from mnist_diffusion.reporting.charts import Chart, chart
from mnist_diffusion.reporting.results import Results

TICKS = [-10, -3, -1, 0, 1, 3, 10, 30, 100, 300, 1000]


def against_n(results: Results) -> Iterator[Chart]:
    """What real digits score, by the size of the set: a small chart per metric."""
    frame = charts.tidy([one.model_dump() for one in results.calibration.against_n])
    for metric, own in frame.groupby("metric", sort=False):
        base, name = alt.Chart(own), METRICS[str(metric)].title
        x = alt.X("n:Q", title="n (log)").scale(type="log", nice=False)
        x = x.axis(values=sorted(set(own["n"])), labelOverlap=True)
        band = base.mark_area(opacity=0.25, color=charts.BLUE).encode(
            x=x, y=alt.Y("low:Q", title=None).scale(zero=False), y2=alt.Y2("high:Q")
        )
        line = base.mark_line(color=charts.BLUE, point={"color": charts.BLUE}).encode(
            x=x, y=alt.Y("mean:Q").scale(zero=False), tooltip=["n:Q", "mean:Q", "low:Q", "high:Q"]
        )
        ends = own.sort_values("n")["mean"]
        yield chart(
            alt.layer(band, line).properties(height=130),
            f"n-{charts.slug(name)}",
            name,
            "",
            f"{name} of real test digits from {ends.iloc[0]:.3g} to {ends.iloc[-1]:.3g} as n grows "
            f"from {own['n'].min():,} to {own['n'].max():,}.",
        )


def corruption_levels(results: Results) -> Iterator[Chart]:
    """How each metric moves as digits are corrupted: a small chart per corruption."""
    frame = charts.tidy([one.model_dump() for one in results.calibration.corruptions])
    frame["metric"] = frame["metric"].map(lambda metric: METRICS[metric].title)
    for corruption, own in frame.groupby("corruption", sort=False):
        severities, name = sorted(set(own["severity"])), str(corruption)
        x = alt.X("severity:Q", title="severity")
        x = x.axis(values=severities, format="~g", labelOverlap=True)
        y = alt.Y("relative_to_floor:Q", title="baseline widths worse (symlog)")
        y = y.scale(type="symlog").axis(values=TICKS)
        worst = own[own["severity"] == severities[-1]]
        listed = "; ".join(f"{r.metric} {r.relative_to_floor:.3g}" for r in worst.itertuples())
        yield chart(
            charts.lines_by("metric", own, x, y).properties(height=200),
            f"corruption-{charts.slug(name)}",
            name.capitalize(),
            "",
            "By how many widths of the real-vs-real baseline each metric is worse as digits are "
            f"corrupted, {name}. At the end: {listed}.",
        )


def confusion(results: Results) -> Iterator[Chart]:
    """Confusion of the headline cell (where digits were asked for) and of the real test digits."""
    drawn = results.headline.metrics.confusion
    if drawn:
        yield _confusion(results.headline.name, "asked for", np.array(drawn))
    real = np.array(results.classifier.confusion)
    yield _confusion("real test digits", "true digit", real)


def _confusion(name: str, rows: str, counts: np.ndarray) -> Chart:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    frame = charts.tidy(
        [
            {rows: r, "judged": c, "count": int(n), "share": float(shares[r, c])}
            for (r, c), n in np.ndenumerate(counts)
            if n
        ]
    )
    x = alt.X("judged:O", axis=alt.Axis(labelAngle=0))
    base = alt.Chart(frame).encode(x=x, y=alt.Y(f"{rows}:O"))
    # A root-like scale: errors of 1 % are what there is to see.
    share = alt.Opacity("share:Q", legend=None, scale=alt.Scale(type="sqrt", range=[0.05, 1]))
    squares = base.mark_rect(color=charts.BLUE).encode(
        opacity=share, tooltip=[f"{rows}:O", "judged:O", "count:Q", "share:Q"]
    )
    words = base.mark_text(fontSize=10, color=charts.INK).encode(text="count:Q")
    errors = np.where(np.eye(len(counts)), 0, counts)
    row, column = np.unravel_index(int(errors.argmax()), errors.shape)
    worst = f"{row} taken for {column} {errors[row, column]} times" if errors.any() else "none"
    return chart(
        alt.layer(squares, words).properties(height=320),
        f"confusion-{charts.slug(name)}",
        f"What is taken for what: {name}",
        "Rows: what a digit should be; columns: what the classifier sees. Colour: share of a row.",
        f"Confusion matrix, nearly all on the diagonal. Most frequent error: {worst}.",
    )


def reliability_diagram(results: Results) -> Iterator[Chart]:
    """The classifier's accuracy against its confidence, on real digits."""
    frame = charts.tidy([one.model_dump() for one in results.classifier.reliability])
    ideal = alt.Chart(pd.DataFrame({"x": [0, 1], "y": [0, 1]}))
    line = ideal.mark_line(color=charts.GREY, strokeDash=[2, 2], strokeWidth=1)
    line = line.encode(x="x:Q", y="y:Q")
    dots = alt.Chart(frame).mark_point(color=charts.BLUE, opacity=0.75).encode(
        x=alt.X("confidence:Q", title="confidence").scale(domain=[0, 1]),
        y=alt.Y("accuracy:Q", title="accuracy").scale(domain=[0, 1]),
        size=alt.Size("count:Q", legend=None, scale=alt.Scale(type="sqrt", range=[30, 400])),
        tooltip=["confidence:Q", "accuracy:Q", "count:Q"],
    )  # fmt: skip
    error = 100 * results.classifier.expected_calibration_error
    yield chart(
        alt.layer(line, dots).properties(height=320),
        "reliability",
        "Reliability of the classifier",
        "On the dotted line the classifier is as often right as it is sure. Areas grow with the "
        f"number of digits; expected calibration error {error:.2f} %.",
        f"Reliability diagram of the classifier; expected calibration error {error:.2f} per cent.",
    )


def detection_grid(results: Results) -> dict[str, dict[str, str]]:
    """Which metric detects which corruption, in a word: detects, blind (it must, and does not)."""
    grid: dict[str, dict[str, str]] = {}
    for one in results.calibration.verdicts:
        word = "detects" if one.sees else "blind" if one.blind else "no, nor must it"
        word += ", flattered" if one.flattered else ""
        grid.setdefault(METRICS[one.metric].title, {})[one.corruption] = word
    return grid
