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

LOOKS = (THICKNESS, SLANT)
CODES_OF_A_GRID = (1, 2, 3)
MIDDLE = 2
"""The code of medium and of upright: what is asked on either side of both is extreme."""


def scores(
    asked: Codes,
    attributes: Attributes,
    seen: NDArray[np.int64],
    bands: Bands,
    corners: Corners,
) -> dict[str, Any]:
    """Shares of the images that obey, and how what is measured follows what is asked.

    Of the digits (n,) that the judge has seen in the images, and of what was measured on them.
    """
    return {
        **_shares(asked, bands.levels(attributes, seen), corners),
        "thickness": _following(asked[:, THICKNESS], attributes.thickness),
        "slant": _following(asked[:, SLANT], attributes.slant),
    }


def kept_looks(levels: Codes, found: Codes, corners: Corners) -> dict[str, Any]:
    """Shares of digits of these levels that still have the looks a grid asks for, digit and all.

    `found`: the levels that were measured and seen on them after they went through a codec. No run
    that draws in its latent space can be sure to obey more often.
    """
    asked = levels.copy()
    asked[:, LOOKS] = np.array(CODES_OF_A_GRID)[np.sign(levels[:, LOOKS] - MIDDLE) + 1]
    asked[:, WIDTH] = NOTHING
    return _shares(asked, found, corners)


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


def _shares(asked: Codes, found: Codes, corners: Corners) -> dict[str, Any]:
    """For which share of the images what is asked is true: of all, and by corners; null of none."""
    right = obeyed(asked, found)
    held = np.array([corners.hold_all_of(one) for one in asked.tolist()], dtype=np.bool_)
    extreme = np.isin(asked[:, LOOKS], (NOTHING, MIDDLE), invert=True).all(axis=1)
    groups = {"all": np.ones_like(held), "held_out": held, "seen_corners": extreme & ~held}
    return {name: _share_by_attribute(right[chosen]) for name, chosen in groups.items()}


def _share_by_attribute(right: NDArray[np.bool_]) -> dict[str, float | int | None]:
    n = len(right)
    shares = [*right.mean(axis=0).tolist(), float(right.all(axis=1).mean())] if n else [None] * 5
    return {"n": n, **dict(zip((*ATTRIBUTES, "everything"), shares, strict=True))}


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
