"""Whether drawn digits look as they were asked to, by what is measured on them.

Not by the encoders that the prompts went through: those would find what they put there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from mnist_diffusion.dataset.attributes import Attributes
from mnist_diffusion.dataset.levels import (
    ATTRIBUTES,
    NOTHING,
    SLANT,
    THICKNESS,
    TRUTHS,
    WIDTH,
    Bands,
    Codes,
    Corners,
    obeyed,
)

Right = NDArray[np.bool_]
"""(n,), by image."""

LOOKS = (THICKNESS, SLANT)
CODES_OF_A_GRID = (1, 2, 3)
MIDDLE = 2
"""The code of medium and of upright: what is asked on either side of both is extreme."""


def obedience(
    asked: Codes, attributes: Attributes, seen: NDArray[np.int64], bands: Bands
) -> NDArray[np.bool_]:
    """(n, 4): is what is asked of image i true of it, by attribute?

    Of the digits (n,) that the judge has seen in the images, and of what was measured on them.
    """
    return obeyed(asked, bands.levels(attributes, seen))


def scores(
    asked: Codes,
    attributes: Attributes,
    seen: NDArray[np.int64],
    bands: Bands,
    corners: Corners,
) -> dict[str, Any]:
    """Shares of the images that obey, and how what is measured follows what is asked."""
    right = obedience(asked, attributes, seen, bands)
    held = np.array([corners.hold_all_of(one) for one in asked.tolist()], dtype=np.bool_)
    extreme = np.isin(asked[:, LOOKS], (NOTHING, MIDDLE), invert=True).all(axis=1)
    groups = {"all": np.ones_like(held), "held_out": held, "seen_corners": extreme & ~held}
    return {
        **{name: _shares(right[chosen]) for name, chosen in groups.items()},
        "thickness": _following(asked[:, THICKNESS], attributes.thickness),
        "slant": _following(asked[:, SLANT], attributes.slant),
    }


def kept_looks(
    levels: Codes,
    attributes: Attributes,
    seen: NDArray[np.int64],
    bands: Bands,
    corners: Corners,
) -> dict[str, Any]:
    """Shares of digits of these levels that still have the looks a grid asks for, digit and all.

    Of what was measured and seen on them after they went through a codec: no run that draws in its
    latent space can be sure to obey more often.
    """
    asked = levels.copy()
    asked[:, LOOKS] = np.array(CODES_OF_A_GRID)[np.sign(levels[:, LOOKS] - MIDDLE) + 1]
    asked[:, WIDTH] = NOTHING
    found = scores(asked, attributes, seen, bands, corners)
    return {group: found[group] for group in ("all", "held_out", "seen_corners")}


def means_of_real(attributes: Attributes, levels: Codes) -> dict[str, dict[str, float]]:
    """What thin and thick, left and right measure on real digits, by the codes of a grid."""
    values = {"thickness": attributes.thickness, "slant": attributes.slant}
    return {
        name: {
            str(code): float(values[name][TRUTHS[column][code, levels[:, column]]].mean())
            for code in CODES_OF_A_GRID
        }
        for name, column in zip(values, LOOKS, strict=True)
    }


def _shares(right: NDArray[np.bool_]) -> dict[str, float | int | None]:
    """By attribute and of all at once; null of no images."""
    n = len(right)
    found: dict[str, float | int | None] = {"n": n}
    for column, name in enumerate(ATTRIBUTES):
        found[name] = float(right[:, column].mean()) if n else None
    found["everything"] = float(right.all(axis=1).mean()) if n else None
    return found


def _following(codes: NDArray[np.int64], values: NDArray[np.float64]) -> dict[str, Any]:
    """The mean of what is measured by what is asked, and their rank correlation, where asked."""
    chosen = codes != NOTHING
    codes, values = codes[chosen], values[chosen]
    means = {str(code): float(values[codes == code].mean()) for code in np.unique(codes)}
    return {"means": means, "rank_correlation": _rank_correlation(codes, values)}


def _rank_correlation(codes: NDArray[np.int64], values: NDArray[np.float64]) -> float | None:
    """Spearman's; null where either never changes."""
    if len(np.unique(codes)) < 2 or len(np.unique(values)) < 2:
        return None
    return float(spearmanr(codes, values).statistic)
