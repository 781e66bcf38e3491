"""Charts of paired comparisons: each cell against the baseline of its table."""

from __future__ import annotations

import altair as alt
import pandas as pd

from mnist_diffusion.reporting.charts.chart import Chart, chart, tidy
from mnist_diffusion.reporting.measures import Comparison
from mnist_diffusion.reporting.results import Results
from mnist_diffusion.reporting.words import COMPARISONS, one_of

VERDICTS = {
    "better": ("var(--green)", "circle"),
    "not distinguishable": ("var(--grey)", "diamond"),
    "worse": ("var(--orange)", "square"),
}
ROW_HEIGHT = 24
FAR = 8
SYMLOG_TICKS = [-100, -50, -20, -10, -5, -2, -1, 0, 1, 2, 5, 10, 20, 50, 100, 200]


def differences(results: Results) -> dict[str, list[Chart]]:
    """Differences in relative FD by table: a chart per baseline that something is compared with."""
    found: dict[str, dict[str, list[Comparison]]] = {table: {} for table in COMPARISONS}
    for one in results.evidence.comparisons:
        if one.metric == "relative_fd" and one.table in found:
            found[one.table].setdefault(one.baseline, []).append(one)
    return {
        table: [_forest(table, baseline, rows) for baseline, rows in own.items()]
        for table, own in found.items()
    }


def _forest(table: str, baseline: str, rows: list[Comparison]) -> Chart:
    frame = tidy([_row(one) for one in rows])
    order = list(frame.sort_values("difference")["pair"])
    names, looks = list(VERDICTS), list(VERDICTS.values())
    legend = alt.Legend(title=None, columns=1)  # three would not fit on a phone
    colours = alt.Scale(domain=names, range=[colour for colour, _ in looks])
    shapes = alt.Scale(domain=names, range=[shape for _, shape in looks])
    y = alt.Y("pair:N", sort=order, title=None)
    x = alt.X("difference:Q", title="points of relative FD")
    if _far_apart(frame["difference"]):
        x = x.scale(type="symlog", constant=1).axis(values=SYMLOG_TICKS)
    colour = alt.Color("verdict:N", scale=colours, legend=legend)
    base = alt.Chart(frame).encode(y=y, color=colour)
    bars = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"))
    dots = base.mark_point(size=80).encode(
        x=x,
        shape=alt.Shape("verdict:N", scale=shapes, legend=legend),
        href="link:N",
        tooltip=["cell:N", "baseline:N", "difference:Q", "low:Q", "high:Q", "p (Holm):Q",
                 "verdict:N", "n:Q"],
    )  # fmt: skip
    zero = alt.Chart(pd.DataFrame({"x": [0]})).mark_rule(strokeDash=[4, 3]).encode(x="x:Q")
    told = "; ".join(f"{one.cell} {100 * one.difference:+.2f}, {one.verdict}" for one in rows)
    seeds = max(one.training_seeds for one in rows)
    return chart(
        alt.layer(zero, bars, dots).properties(height=ROW_HEIGHT * len(frame)),
        f"differences-{table}-{baseline}",
        f"Against {baseline}, n = {one_of(one.n for one in rows)}",
        "Left is better. Paired differences: the same starting noise and the same bootstrap draws, "
        f"95 % intervals, verdicts by Holm over the table. {_seeds(seeds)}",
        f"Differences in relative FD from {baseline}, in points: {told}.",
    )


def _far_apart(differences: pd.Series) -> bool:
    """Whether one cell would press all others into a corner."""
    sizes = differences.abs()
    return bool(sizes.max() > FAR * max(sizes.median(), 0.1))


def _row(one: Comparison) -> dict[str, object]:
    return {
        "pair": one.cell,
        "cell": one.cell,
        "baseline": one.baseline,
        "difference": 100 * one.difference,
        "low": 100 * one.interval[0],
        "high": 100 * one.interval[1],
        "p (Holm)": one.p_holm,
        "verdict": one.verdict,
        "n": one.n,
        "link": f"#cell-{one.cell}",
    }


def _seeds(count: int) -> str:
    if count > 1:
        return f"{count} training seeds."
    return "One training seed: the interval is of drawing, not of training."
