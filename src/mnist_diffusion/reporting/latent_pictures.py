"""Pictures of digits by way of codecs, and of digits asked for in words."""

from __future__ import annotations

import numpy as np

from mnist_diffusion.files.images import DIGITS, sheet, titled
from mnist_diffusion.reporting.digit_pictures import Picture, still
from mnist_diffusion.reporting.results import Results

THICKNESSES, SLANTS = ("thin", "medium", "thick"), ("left", "upright", "right")


def codec_strip(results: Results) -> Picture | None:
    """Real digits, and below them as each codec gives them back."""
    if not results.reconstructions:
        return None
    pairs = list(results.reconstructions.values())
    tiles = np.stack([pairs[0][0][::2], *(pair[1][::2] for pair in pairs)])
    rows = ["real", *results.reconstructions]
    caption = "Real test digits, and what comes back of them by way of each codec."
    alt = f"Rows of the same digits: {'; '.join(rows)}."
    return still("codec-strip", "There and back", caption, alt, titled(sheet(tiles, 3), [], rows))


def prompt_grid(results: Results) -> Picture | None:
    """Of the cell that obeys most: each digit with each of its looks, the first of each."""
    grids = [name for name, one in results.adherence.items() if one.prompts == "grid"]
    whole = [n for n in grids if len(results.cells[n].images) >= DIGITS * len(THICKNESSES) * 3]
    if not whole:
        return None
    best = max(whole, key=lambda name: results.adherence[name].all.everything or 0.0)
    cell = results.cells[best]
    tiles = np.asarray(cell.images[: 9 * DIGITS]).reshape(9, DIGITS, 28, 28)
    rows = [f"{thickness}, {slant}" for slant in SLANTS for thickness in THICKNESSES]
    caption = (
        f"Cell {best}: each digit asked for in words with each thickness and slant, unselected."
    )
    alt = f"Ten columns of digits, rows {'; '.join(rows)}."
    return still(
        "prompt-grid", "Asked for in words", caption, alt, titled(sheet(tiles, 2), [], rows)
    )
