"""A chart of the page, and the look that all charts share.

Colours are CSS variables of the page, so that a chart follows it from light to dark and to paper.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from mnist_diffusion.reporting import style

INK, SOFT, LINE = "var(--ink)", "var(--soft)", "var(--line)"
COLOURS: dict[str, str] = {
    style.BLUE: "var(--blue)",
    style.ORANGE: "var(--orange)",
    style.GREEN: "var(--green)",
    style.PINK: "var(--pink)",
    style.SKY: "var(--sky)",
    style.AMBER: "var(--amber)",
    style.GREY: "var(--grey)",
    style.INK: INK,
}
"""Of the static figures' colours, those of the page."""
DASHES = {"-": [1, 0], "--": [7, 3], "-.": [8, 3, 2, 3], ":": [2, 2], (0, (1, 1)): [2, 2]}
PALETTE = [COLOURS[c] for c in (style.BLUE, style.ORANGE, style.GREEN, style.PINK, style.AMBER)] + [
    COLOURS[style.SKY],
    INK,
    COLOURS[style.GREY],
]
DIGITS = 5
"""That matter in a chart: less than a screen can show, and the page stays small."""


@dataclass(frozen=True)
class Chart:
    """A chart, what stands below it, and what is told to those who cannot see it."""

    name: str
    title: str
    caption: str
    alt: str
    spec: dict[str, Any]

    @property
    def json(self) -> str:
        """The specification, safe within a script element."""
        text = json.dumps(self.spec, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return text.replace("</", "<\\/")


def chart(drawn: alt.TopLevelMixin, name: str, title: str, caption: str, alt_text: str) -> Chart:
    """A drawing as wide as its place on the page, in the report's look."""
    spec = drawn.to_dict()
    spec |= {
        "width": "container",
        "autosize": {"type": "fit-x", "contains": "padding"},
        "config": look(),
        "description": alt_text,
        "background": None,
    }
    return Chart(name, title, caption, alt_text, spec)


def look() -> dict[str, Any]:
    """Vega's configuration."""
    words = {"labelColor": INK, "titleColor": SOFT, "labelFontSize": 12, "titleFontSize": 12}
    return {
        "font": "system-ui, sans-serif",
        "axis": words
        | {
            "domainColor": SOFT,
            "tickColor": SOFT,
            "gridColor": LINE,
            "titleFontWeight": "normal",
            "labelLimit": 190,
        },
        "legend": words
        | {"orient": "bottom", "columns": 2, "symbolStrokeWidth": 2.5, "labelLimit": 200},
        "title": {"color": INK, "fontSize": 13, "anchor": "start"},
        "view": {"stroke": None},
        "line": {"strokeWidth": 2.2},
        "point": {"size": 55, "filled": True},
        "rule": {"color": SOFT},
        "text": {"color": SOFT, "fontSize": 12},
    }


def log_axis(values: Iterable[float]) -> alt.Axis:
    """Ticks at 1, 2, 5, 10, … within a range: a logarithmic axis that one can read."""
    known = [value for value in values if value > 0]
    low, high = 0.999 * min(known), 1.001 * max(known)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
    return alt.Axis(values=[tick for tick in ticks if low <= tick <= high], format="~g")


def log_scale() -> alt.Scale:
    """A logarithmic scale no longer than its values."""
    return alt.Scale(type="log", nice=False, padding=12)


def tidy(rows: list[dict[str, Any]] | pd.DataFrame) -> pd.DataFrame:
    """A frame for a chart: few digits, infinities as gaps."""
    frame = pd.DataFrame(rows).replace([np.inf, -np.inf], np.nan)
    floats = frame.select_dtypes("float").columns
    rounded = frame[floats].map(lambda value: float(f"{value:.{DIGITS}g}"))
    return frame.assign(**{column: rounded[column] for column in floats})


def legend_switch(field: str) -> alt.Parameter:
    """A click on the legend leaves one series standing out."""
    return alt.selection_point(fields=[field], bind="legend", name=f"chosen_{field}")


def fading(switch: alt.Parameter) -> Any:
    """Full where chosen, or where nothing is; faint elsewhere."""
    return alt.when(switch).then(alt.value(1)).otherwise(alt.value(0.12))


def scale_of(names: list[str], colours: list[str]) -> alt.Scale:
    """A colour for each name, in order."""
    repeated = [colours[i % len(colours)] for i in range(len(names))]
    return alt.Scale(domain=names, range=repeated)
