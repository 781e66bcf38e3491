"""A chart as a Vega-Lite specification: drawn by the page, and to PNG by the same library.

Colours are CSS variables of the page, so that a chart follows it from light to dark and to paper;
a PNG has the page's light ones.
"""

from __future__ import annotations

import base64
import io
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any, TypeVar

import altair as alt
import numpy as np
import pandas as pd
import vl_convert
from PIL import Image, TiffImagePlugin

from mnist_diffusion.files.images import png_bytes
from mnist_diffusion.provenance.schemas.artifact import Spread

TEMPLATES = Path(__file__).parent / "templates"
INK, SOFT, LINE, GREY = "var(--ink)", "var(--soft)", "var(--line)", "var(--grey)"
BLUE, ORANGE, GREEN, PINK = "var(--blue)", "var(--orange)", "var(--green)", "var(--pink)"
SKY, AMBER = "var(--sky)", "var(--amber)"
# Okabe & Ito's palette, which colour-blind readers can tell apart.
PALETTE = [BLUE, ORANGE, GREEN, PINK, AMBER, SKY, INK, GREY]
LINES = [INK, ORANGE, BLUE, GREEN, PINK, AMBER, SKY]
DASHES = [[1, 0], [7, 3], [8, 3, 2, 3], [2, 2]]
DIGITS = 5
"""That matter in a chart: less than a screen can show, and the page stays small."""
PNG_WIDTH = 720
PNG_COLOURS = 64
PNG_FONT = "Liberation Sans"
"""Comes with the library, so that letters are the same everywhere."""
DVC_VEGA_LITE = "5.21"
"""Of the major version that DVC's own templates are written in."""
Channel = TypeVar("Channel", alt.X, alt.Y)


@dataclass(frozen=True)
class Chart:
    """A chart and what stands below it; its specification says it to those who cannot see it."""

    name: str
    title: str
    caption: str
    spec: dict[str, Any]

    def png(self) -> bytes:
        """On white, in the page's light colours."""
        text = re.sub(r"var\(--(\w+)\)", lambda m: _page_colours()[m[1]], json.dumps(self.spec))
        spec = json.loads(text)
        spec |= {"width": PNG_WIDTH, "background": "white", "autosize": {"type": "pad"}}
        spec["title"] = {"text": self.title, "font": PNG_FONT}
        spec["config"]["font"] = PNG_FONT
        picture = Image.open(io.BytesIO(vl_convert.vegalite_to_png(spec, scale=1.5)))
        few = picture.convert("RGB").quantize(PNG_COLOURS, dither=Image.Dither.NONE)
        return png_bytes(few)


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
    return Chart(name, title, caption, spec)


def look() -> dict[str, Any]:
    """Vega's configuration."""
    words = {"labelColor": INK, "titleColor": SOFT, "labelFontSize": 12, "titleFontSize": 12}
    lines = {"domainColor": SOFT, "tickColor": SOFT, "gridColor": LINE}
    legend = {"orient": "bottom", "columns": 2, "symbolStrokeWidth": 2.5, "labelLimit": 200}
    return {
        "font": "system-ui, sans-serif",
        "axis": words | lines | {"titleFontWeight": "normal", "labelLimit": 190},
        "legend": words | legend,
        "title": {"color": INK, "fontSize": 13, "anchor": "start"},
        "view": {"stroke": None},
        "line": {"strokeWidth": 2.2},
        "point": {"size": 55, "filled": True},
        "rule": {"color": SOFT},
        "text": {"color": SOFT, "fontSize": 12},
    }


@cache
def _page_colours() -> dict[str, str]:
    """The light ones: those of the first rule of the page's style."""
    first = (TEMPLATES / "style.css").read_text(encoding="utf-8").split("}")[0]
    return dict(re.findall(r"--(\w+): (#\w+)", first))


def packed_script(drawn: Iterable[Chart]) -> str:
    """Vega, Vega-Lite, Vega-Embed, all specifications and the lines that draw them, deflated.

    In base64, a third of its size with it, of specifications a seventh; templates/unpack.js
    unfolds it.
    """
    specs = {chart.name: chart.spec for chart in drawn}
    text = json.dumps(
        specs, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
    )
    return base64.b64encode(deflated(f"const specs = {text};\n{_script()}".encode())).decode()


@cache
def _script() -> str:
    return vl_convert.javascript_bundle((TEMPLATES / "charts.js").read_text(encoding="utf-8"))


def deflated(content: bytes) -> bytes:
    """A zlib stream by Pillow's library, as in a PNG: the same bytes whatever Python it is."""
    stream = io.BytesIO()
    row = Image.frombytes("L", (len(content), 1), content)
    row.save(stream, format="TIFF", compression="tiff_adobe_deflate")
    stream.seek(0)
    tags = TiffImagePlugin.TiffImageFile(stream).tag_v2
    (start,), (size,) = tags[TiffImagePlugin.STRIPOFFSETS], tags[TiffImagePlugin.STRIPBYTECOUNTS]
    return stream.getvalue()[start : start + size]


def dvc_page() -> str:
    """The page of `dvc plots show`, as .dvc/plots/offline.html has it: the library inside."""
    page = (TEMPLATES / "dvc_plots.html").read_text(encoding="utf-8")
    bundled = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", DVC_VEGA_LITE)
    return page.replace("SCRIPT", bundled.replace("</script", "<\\/script"))


def tidy(rows: list[dict[str, Any]] | pd.DataFrame) -> pd.DataFrame:
    """A frame for a chart: few digits, infinities as gaps."""
    frame = pd.DataFrame(rows).replace([np.inf, -np.inf], np.nan)
    floats = frame.select_dtypes("float").columns
    rounded = frame[floats].map(lambda value: float(f"{value:.{DIGITS}g}"))
    return frame.assign(**{column: rounded[column] for column in floats})


def log_axis(values: Iterable[float]) -> alt.Axis:
    """Ticks at 1, 2, 5, 10, … within a range: a logarithmic axis that one can read."""
    known = [value for value in values if value > 0]
    low, high = 0.999 * min(known), 1.001 * max(known)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
    return alt.Axis(values=[tick for tick in ticks if low <= tick <= high], format="~g")


def logarithmic(channel: type[Channel], field: str, title: str, values: Iterable[float]) -> Channel:
    """A number along a logarithmic axis that is no longer than these values."""
    scale = alt.Scale(type="log", nice=False, padding=12)
    return channel(f"{field}:Q", title=f"{title} (log)", scale=scale, axis=log_axis(values))


def scale_of(looks: Mapping[str, Any]) -> alt.Scale:
    """A colour, dash or shape for each name, in order."""
    return alt.Scale(domain=list(looks), range=list(looks.values()))


def in_turn(names: Iterable[str], looks: Sequence[Any] = PALETTE) -> dict[str, Any]:
    """A look for each name, beginning anew where they run out."""
    return dict(zip(dict.fromkeys(names), cycle(looks), strict=False))


def legend_switch(field: str) -> tuple[alt.Parameter, Any]:
    """A click on the legend leaves one series standing out: what is chosen, and the opacity."""
    switch = alt.selection_point(fields=[field], bind="legend", name=f"chosen_{field}")
    return switch, alt.when(switch).then(alt.value(1)).otherwise(alt.value(0.12))


def real_band(real: Spread, text: str = "real test digits") -> Any:
    """What real digits score, in per cent: a line, and a band where random sets differ."""
    scores = {key: 100 * value for key, value in real}
    base = alt.Chart(pd.DataFrame([scores | {"text": text}]))
    ends = {"y": alt.Y("low:Q"), "y2": alt.Y2("high:Q")}
    band = base.mark_rect(color=GREY, opacity=0.25).encode(**ends)
    line = base.mark_rule(color=SOFT, strokeWidth=1).encode(y="mean:Q")
    words = base.mark_text(align="left", baseline="bottom", dx=4, dy=-2, fontSize=11).encode(
        x=alt.value(0), y="high:Q", text="text:N"
    )
    return alt.layer(band, line, words)


def with_intervals(base: alt.Chart, x: alt.X, y: alt.Y) -> tuple[alt.Chart, alt.Chart, alt.Chart]:
    """Rules from `low` to `high`, a line, and upon it points, which lead to their cells."""
    rules = base.mark_rule(strokeWidth=1.6).encode(x=x, y=alt.Y("low:Q"), y2=alt.Y2("high:Q"))
    words = told(base.data.drop(columns=["link", "low", "high"]))
    points = base.mark_point(size=85).encode(x=x, y=y, href="link:N", tooltip=words)
    return rules, base.mark_line().encode(x=x, y=y), points


def told(frame: pd.DataFrame) -> list[str]:
    """What a pointer is told of a mark: these columns."""
    numbers = frame.select_dtypes("number")
    return [f"{column}:{'Q' if column in numbers else 'N'}" for column in frame]


def lines_by(
    series: str, frame: pd.DataFrame, x: alt.X, y: alt.Y, *, points: bool = True
) -> alt.Chart:
    """A line for each value of the column `series`, which the legend can single out."""
    names = list(dict.fromkeys(frame[series]))
    switch, opacity = legend_switch(series)
    legend = alt.Legend(title=None, columns=1, symbolType="stroke", symbolSize=300)
    colours, dashes = scale_of(in_turn(names, LINES)), scale_of(in_turn(names, DASHES))
    return (
        alt.Chart(frame)
        .mark_line(point=points)
        .encode(
            x=x,
            y=y,
            color=alt.Color(f"{series}:N", scale=colours, legend=legend),
            strokeDash=alt.StrokeDash(f"{series}:N", scale=dashes, legend=legend),
            opacity=opacity,
            tooltip=told(frame),
        )
        .add_params(switch)
    )


def slug(name: object) -> str:
    """A word for an anchor."""
    return "".join(c if c.isalnum() else "-" for c in str(name).lower())
