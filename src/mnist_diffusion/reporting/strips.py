"""Pictures that set cells side by side: the same starting noise, one row a cell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mnist_diffusion.reporting.pictures import DIGITS, Tiles, sheet, still, titled
from mnist_diffusion.reporting.results import CellResult, Results
from mnist_diffusion.reporting.style import Figure
from mnist_diffusion.reporting.words import SAMPLERS

EACH = 1
"""Images of each digit: as wide as the page."""


def guidance(results: Results) -> Figure | None:
    """A row per guidance scale, the same noise and digit down each column."""
    cells = sorted(results.chosen("guidance"), key=lambda cell: cell.settings.guidance)
    rows = [f"s = {cell.settings.guidance:g}" for cell in cells]
    caption = (
        "Each column starts from the same noise and, but for s = 0, asks for the same digit. "
        "Read down a column to see what guidance does to one image."
    )
    return _strip("guidance-strip", "The same noise under rising guidance", caption, rows, cells, 3)


def samplers(results: Results) -> Figure | None:
    """A row per sampler and steps, the same noise and digit down each column."""
    cells = [cell for cell in results.chosen("samplers") if not cell.departures]
    rows = [f"{SAMPLERS[c.settings.sampler]}, {c.settings.steps}" for c in cells]
    caption = (
        "Each column starts from the same noise and asks for the same digit. Samplers that add "
        "noise along the way end elsewhere."
    )
    return _strip("sampler-strip", "The same noise under other samplers", caption, rows, cells, 2)


def extremes(results: Results) -> Figure | None:
    """What the judge is most and least convinced of, of the headline's images."""
    cell = results.headline
    found = cell.metrics.extremes
    if found is None:
        return None
    tiles = np.zeros((4 * DIGITS, 28, 28), dtype=np.uint8)
    for start, chosen in ((0, found.best), (2 * DIGITS, found.worst)):
        own = _row(cell, chosen[: 2 * DIGITS])
        tiles[start : start + len(own)] = own
    words = ["best", "", "worst", ""]
    caption = (
        f"Cell {cell.name}: the images in which the judge is surest of the digit asked for, and "
        "those in which it sees it least."
    )
    alt = "Two rows of clear digits above two rows of doubtful ones."
    picture = titled(sheet(tiles.reshape(4, DIGITS, 28, 28), zoom=3), [], words)
    return still("extremes", "Best and worst judged", caption, alt, picture)


def _strip(
    name: str,
    title: str,
    caption: str,
    rows: Sequence[str],
    cells: Sequence[CellResult],
    zoom: int,
) -> Figure | None:
    """None where the cells are too few to fill a row, or there is but one."""
    places = _places(cells)
    if len(cells) < 2 or not places:
        return None
    tiles = np.stack([_row(cell, places) for cell in cells])
    alt = f"Rows of the same digits: {'; '.join(rows)}."
    return still(name, title, caption, alt, titled(sheet(tiles, zoom), [], list(rows)))


def _places(cells: Sequence[CellResult]) -> list[int]:
    """The first images of each digit that all cells have, by the labels of those that ask."""
    count = min(len(cell.images) for cell in cells)
    asked = next((cell.labels for cell in cells if cell.labels[0] >= 0), None)
    if asked is None:
        return list(range(min(count, EACH * DIGITS)))
    labels = np.asarray(asked[:count])
    return [int(i) for digit in range(DIGITS) for i in np.flatnonzero(labels == digit)[:EACH]]


def _row(cell: CellResult, places: Sequence[int]) -> Tiles:
    """Some images of a cell as one row: (len, 28, 28), blank where there are fewer."""
    return np.asarray(cell.images[list(places)])
