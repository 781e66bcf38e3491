"""Pictures of digits by way of codecs, and of digits asked for in words."""

from __future__ import annotations

import numpy as np

from mnist_diffusion.files.images import DIGITS, sheet, titled
from mnist_diffusion.reporting.digit_pictures import Picture, still, strip
from mnist_diffusion.reporting.results import Results

THICKNESSES, SLANTS = ("thin", "medium", "thick"), ("left", "upright", "right")


def codec_strip(results: Results) -> Picture:
    """Real digits, and below them as each codec gives them back."""
    pairs = list(results.reconstructions.values())
    tiles = [pairs[0][0][::2], *(pair[1][::2] for pair in pairs)]
    caption = "Real test digits, and what comes back of them by way of each codec."
    rows = ["real", *results.reconstructions]
    return strip("codec-strip", "There and back", caption, tiles, rows)


def prompt_grid(results: Results) -> Picture | None:
    """Of the cell that obeys most: each digit with each of its looks, the first of each."""
    obeyed = {
        name: one.all.everything or 0.0
        for name, one in results.adherence.items()
        if one.prompts == "grid" and len(results.cells[name].images) >= 9 * DIGITS
    }
    if not obeyed:
        return None
    best = max(obeyed, key=lambda name: obeyed[name])
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
