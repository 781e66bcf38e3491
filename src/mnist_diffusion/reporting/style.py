"""One look for all figures, and figures as bytes that are the same on every run.

Charts are drawn in dark ink on nothing, so that the page can turn them light on a dark screen.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from PIL import Image

from mnist_diffusion.reporting.results import RunResult
from mnist_diffusion.reporting.words import schedule

INK = "#1b2433"
GREY = "#7b8494"
# Okabe & Ito's palette, which colour-blind readers can tell apart.
BLUE, ORANGE, GREEN, PINK = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
SKY, AMBER = "#56b4e9", "#e69f00"
SCHEDULE_COLOURS = {
    "linear": BLUE,
    "cosine": ORANGE,
    "quadratic": GREEN,
    "linear, zero SNR": SKY,
    "cosine, zero SNR": INK,
    "quadratic, zero SNR": PINK,
}
SAMPLER_MARKS = {
    "ddpm": (GREEN, "s"),
    "ddpm-large": (AMBER, "P"),
    "ddim": (BLUE, "o"),
    "dpm-solver-1": (INK, "v"),
    "dpm-solver-2": (ORANGE, "D"),
    "dpm-solver-3": (PINK, "^"),
    "heun": (SKY, "X"),
}
CHOICE_COLOURS = (INK, ORANGE, BLUE, GREEN, PINK, AMBER, SKY)
CHOICE_DASHES = ("-", "--", "-.", (0, (1, 1)))
PNG_COLOURS = 64

_LOOK: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GREY,
    "grid.alpha": 0.22,
    "xtick.color": INK,
    "ytick.color": INK,
    "lines.linewidth": 1.8,
    "lines.markersize": 6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    # Else matplotlib names the parts of an SVG at random.
    "svg.hashsalt": "mnist-diffusion",
    "svg.fonttype": "path",
}


@dataclass(frozen=True)
class Figure:
    """A picture of the report: its file, and what the page shows."""

    name: str
    """The file's name without suffix, a stable word."""
    title: str
    caption: str
    alt: str
    """What a reader who cannot see it would want to be told."""
    files: dict[str, bytes]
    """By suffix: png, svg or gif."""
    width: int
    """Natural width in CSS pixels."""
    height: int

    @property
    def shown(self) -> str:
        """The suffix of the file that the page embeds: the sharpest one."""
        return next(suffix for suffix in ("gif", "svg", "png") if suffix in self.files)


@contextmanager
def look() -> Iterator[None]:
    """Draw in the report's style, whatever this machine's matplotlib is set to."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_LOOK)
        yield


def axes(
    count: int = 1, width: float = 9.6, height: float = 3.6, columns: int = 2
) -> tuple[Canvas, list[Axes]]:
    """A canvas of `count` panels, `columns` side by side; sizes in inches, height of a row."""
    columns = min(count, columns)
    rows = -(-count // columns)
    canvas = Canvas(figsize=(width, rows * height), layout="constrained")
    panels = [canvas.add_subplot(rows, columns, place + 1) for place in range(count)]
    return canvas, panels


def chart(canvas: Canvas, name: str, title: str, caption: str, alt: str) -> Figure:
    """Both forms of a chart: SVG for the page, PNG on white for everyone else."""
    svg, png = io.BytesIO(), io.BytesIO()
    canvas.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    canvas.savefig(png, format="png", dpi=150, facecolor="white", metadata={"Software": None})
    picture = Image.open(png).convert("RGB").quantize(PNG_COLOURS, dither=Image.Dither.NONE)
    width, height = (round(inches * 96) for inches in canvas.get_size_inches())
    files = {"svg": svg.getvalue(), "png": png_bytes(picture)}
    return Figure(name, title, caption, alt, files, width, height)


def png_bytes(picture: Image.Image) -> bytes:
    """The picture as PNG, without dates or names of software."""
    stream = io.BytesIO()
    picture.save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def schedule_line(run: RunResult) -> dict[str, Any]:
    """A schedule's colour, dashes and label; dashed at zero SNR, for it lies upon the other."""
    name = schedule(run)
    dashes = (0, (4, 4)) if run.settings.zero_terminal_snr else "-"
    return {"color": SCHEDULE_COLOURS[name], "linestyle": dashes, "label": name}


def run_line(run: RunResult) -> dict[str, Any]:
    """A run's colour, dashes and label.

    Colour is the schedule; solid is class, dash-dotted class with the v error, dashed
    unconditional; dotted grey is the source's network.
    """
    if run.settings.network == "simple":
        return {"color": GREY, "linestyle": ":", "label": run.name}
    asked = "-." if run.settings.weighting == "v" else "-"
    dashes = asked if run.settings.conditioning == "class" else "--"
    colour = SCHEDULE_COLOURS[schedule(run)]
    return {"color": colour, "linestyle": dashes, "label": run.name}


def choice_lines(runs: Iterable[RunResult]) -> dict[str, dict[str, Any]]:
    """A colour and dashes for each of some runs that differ in no more than a choice, by name."""
    looks = zip(cycle(CHOICE_COLOURS), cycle(CHOICE_DASHES), strict=False)
    return {
        run.name: {"color": colour, "linestyle": dashes, "label": run.name}
        for run, (colour, dashes) in zip(runs, looks, strict=False)
    }
