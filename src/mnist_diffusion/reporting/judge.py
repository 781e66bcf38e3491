"""Charts of the judge: what it confuses, and whether it knows how sure it may be."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm

from mnist_diffusion.reporting import style
from mnist_diffusion.reporting.results import Results
from mnist_diffusion.reporting.style import Figure, axes, chart


def confusion(results: Results) -> Figure:
    """Confusion of the headline cell (where digits were asked for) and of the real test digits."""
    drawn = results.headline.metrics.confusion
    tables = [(results.headline.name, "asked for", drawn)] if drawn else []
    tables.append(("real test digits", "true digit", results.classifier.confusion))
    canvas, panels = axes(len(tables), width=4.8 * len(tables), height=5.5)
    for panel, (title, rows, counts) in zip(panels, tables, strict=True):
        _confusion(panel, title, rows, np.array(counts))
    caption = (
        "Rows: what a digit should be; columns: what the judge sees. Colour: share of the row."
    )
    wrong = [f"{title}: {_worst(np.array(counts))}" for title, _, counts in tables]
    alt = (
        f"Confusion matrices, nearly all on the diagonal. Most frequent error, {'; '.join(wrong)}."
    )
    return chart(canvas, "confusion", "What is taken for what", caption, alt)


def reliability(results: Results) -> Figure:
    """The judge's accuracy against its confidence, on real digits."""
    bins = [one for one in results.classifier.reliability if one.count > 0]
    canvas, (panel,) = axes(1, width=4.8, height=4.6)
    panel.plot([0, 1], [0, 1], color=style.GREY, linewidth=1, linestyle=":")
    largest = max(one.count for one in bins)
    panel.scatter(
        [one.confidence for one in bins],
        [one.accuracy for one in bins],
        s=[20 + 280 * (one.count / largest) ** 0.5 for one in bins],
        color=style.BLUE,
        alpha=0.75,
        linewidth=0,
        clip_on=False,
    )
    panel.set(title="Accuracy", xlabel="confidence", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    error = 100 * results.classifier.expected_calibration_error
    caption = (
        f"On the dotted line the judge is as often right as it is sure. Areas grow with the number "
        f"of digits; expected calibration error {error:.2f} %."
    )
    alt = f"Reliability diagram of the classifier; expected calibration error {error:.2f} per cent."
    return chart(canvas, "reliability", "Reliability of the judge", caption, alt)


def _confusion(panel: Axes, title: str, rows: str, counts: np.ndarray) -> None:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    # A square-root-like scale: errors of 1 % are what there is to see.
    panel.imshow(shares, cmap="Blues", norm=PowerNorm(0.35, 0, 1), interpolation="nearest")
    for row, column in np.argwhere(counts > 0):
        colour = "white" if shares[row, column] > 0.2 else style.INK
        size = 7 if counts[row, column] > 999 else 8
        text = str(counts[row, column])
        panel.text(column, row, text, ha="center", va="center", color=colour, fontsize=size)
    panel.set(title=title, xlabel="judged", ylabel=rows, xticks=range(10), yticks=range(10))
    panel.grid(visible=False)
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)


def _worst(counts: np.ndarray) -> str:
    errors = counts * (1 - np.eye(len(counts), dtype=int))
    row, column = np.unravel_index(int(errors.argmax()), errors.shape)
    return f"{row} taken for {column} {errors[row, column]} times" if errors.any() else "none"
