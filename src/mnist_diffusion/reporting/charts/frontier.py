"""Charts of guidance: what rises and what falls with the scale s."""

from __future__ import annotations

from dataclasses import dataclass

import altair as alt

from mnist_diffusion.reporting.charts.chart import Chart, chart, log_axis, log_scale, tidy
from mnist_diffusion.reporting.charts.marks import whiskers, yardstick
from mnist_diffusion.reporting.files import Interval
from mnist_diffusion.reporting.results import CellResult, Results


@dataclass(frozen=True)
class Panel:
    """One metric against s."""

    name: str
    title: str
    caption: str
    colour: str
    log: bool = False


PANELS = [
    Panel(
        "accuracy",
        "Accuracy, %",
        "How often the judge sees the digit asked for. Grey: the judge on real test digits.",
        "var(--blue)",
    ),
    Panel(
        "relative_fd",
        "Relative FD, %",
        "Lower is nearer to real digits. Grey: real test digits.",
        "var(--orange)",
        log=True,
    ),
    Panel(
        "recall",
        "Recall, %",
        "The share of real digits that have a drawn one near: variety. Grey: real test digits.",
        "var(--green)",
    ),
    Panel(
        "tstr",
        "TSTR accuracy, %",
        "A classifier trained on the samples, tested on real digits. Grey: trained on as many real "
        "digits.",
        "var(--pink)",
    ),
]


def frontier(results: Results) -> list[Chart]:
    """Accuracy, relative FD, recall and TSTR against the guidance scale, with intervals."""
    cells = sorted(results.chosen("guidance"), key=lambda cell: cell.settings.guidance)
    return [_panel(results, cells, panel) for panel in PANELS if _known(results, cells, panel)]


def _known(results: Results, cells: list[CellResult], panel: Panel) -> bool:
    return any(_value(results, cell, panel.name) for cell in cells)


def _value(results: Results, cell: CellResult, name: str) -> tuple[float, float, float] | None:
    """A metric with its interval; None where the cell has none."""
    if name == "tstr":
        found = results.evidence.tstr.get(cell.name)
        return None if found is None else (found.accuracy, found.interval[0], found.interval[1])
    value, interval = getattr(cell.metrics, name), cell.metrics.intervals.get(name)
    return None if value is None or interval is None else (value, interval[0], interval[1])


def _yardstick(results: Results, cells: list[CellResult], name: str) -> Interval:
    if name == "accuracy":
        return _sharp(results.classifier.accuracy)
    if name == "relative_fd":
        return results.reference.floors[str(cells[0].metrics.n)].relative_fd
    if name == "recall":
        return cells[0].metrics.floors.recall
    return _sharp(max(one.real_accuracy for one in results.evidence.tstr.values()))


def _sharp(value: float) -> Interval:
    return Interval(mean=value, low=value, high=value)


def _panel(results: Results, cells: list[CellResult], panel: Panel) -> Chart:
    rows = []
    for cell in cells:
        found = _value(results, cell, panel.name)
        if found is not None:
            value, low, high = (100 * one for one in found)
            row = {"cell": cell.name, "s": cell.settings.guidance, "value": value}
            row |= {"value_low": low, "value_high": high, "link": f"#cell-{cell.name}"}
            rows.append(row | {"interval": f"{low:.2f} to {high:.2f} %"})
    frame = tidy(rows)
    x = alt.X("s:Q", title="guidance scale s").scale(type="symlog", constant=1)
    x = x.axis(values=sorted(frame["s"]), format="~g", labelOverlap=True)
    y = alt.Y("value:Q", title=f"{panel.title}{' (log)' if panel.log else ''}")
    real = _yardstick(results, cells, panel.name)
    if panel.log:
        y = y.scale(log_scale()).axis(log_axis([100 * real.low, *frame["value_high"]]))
    else:
        y = y.scale(zero=False)
    base = alt.Chart(frame)
    line = base.mark_line(color=panel.colour).encode(x=x, y=y)
    dots = base.mark_point(color=panel.colour, size=80).encode(
        x=x, y=y, href="link:N", tooltip=["cell:N", "s:Q", "value:Q", "interval:N"]
    )
    floor = yardstick(100 * real.mean, 100 * real.low, 100 * real.high, "real digits")
    drawn = alt.layer(floor, whiskers(base, x, "value", alt.value(panel.colour)), line, dots)
    points = "; ".join(f"s = {row['s']:g}: {row['value']:.2f} %" for row in rows)
    return chart(
        drawn.properties(height=220),
        f"frontier-{panel.name.replace('_', '-')}",
        panel.title.removesuffix(", %"),
        panel.caption,
        f"{panel.title} against the guidance scale. {points}.",
    )
