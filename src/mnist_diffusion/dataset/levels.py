"""What a caption can say of a digit, and of which digits that is true.

A digit has a level in each of four attributes. A caption asks for some of them; "thin" is true of
the thin and of the very thin, so what is asked is a code of its own, beside the levels. Nothing
asked is -1, and true of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnist_diffusion.dataset.attributes import Attributes
from mnist_diffusion.dataset.mnist import CLASSES

Codes = NDArray[np.int64]
"""(n, 4) in the order of ATTRIBUTES: levels of digits, or what captions ask for."""

ATTRIBUTES = ("digit", "thickness", "slant", "width")
DIGIT, THICKNESS, SLANT, WIDTH = range(len(ATTRIBUTES))
NOTHING = -1

_TRUE_LEVELS = {
    "digit": tuple((digit,) for digit in range(CLASSES)),
    "thickness": ((0,), (0, 1), (2,), (3, 4), (4,)),
    "slant": ((0,), (0, 1), (2,), (3, 4), (4,)),
    "width": ((0,), (1,), (2,)),
}
"""By attribute and code: the levels that it is true of."""


def _truths(levels: Sequence[Sequence[int]]) -> NDArray[np.bool_]:
    """(codes + 1, levels), one level a code being its own; the last row, -1, is all true."""
    table = np.ones((len(levels) + 1, len(levels)), dtype=np.bool_)
    table[:-1] = [[level in true for level in range(len(levels))] for true in levels]
    return table


TRUTHS = [_truths(_TRUE_LEVELS[name]) for name in ATTRIBUTES]
LEVELS = tuple(len(_TRUE_LEVELS[name]) for name in ATTRIBUTES)
"""How many levels each attribute has, and as many codes."""


def truth(asked: Codes, levels: Codes) -> NDArray[np.bool_]:
    """(n, m): is what caption i asks for, (n, 4), true of digit j, (m, 4)?"""
    found = np.ones((len(asked), len(levels)), dtype=np.bool_)
    for column, table in enumerate(TRUTHS):
        found &= table[asked[:, column]][:, levels[:, column]]
    return found


def obeyed(asked: Codes, levels: Codes) -> NDArray[np.bool_]:
    """(n, 4): is what is asked of digit i, (n, 4), true of it, (n, 4), by attribute?"""
    columns = enumerate(TRUTHS)
    return np.stack([table[asked[:, c], levels[:, c]] for c, table in columns], axis=1)


def narrower(attribute: int, one: int, other: int) -> int | None:
    """Of two codes the one that implies the other; None where neither does."""
    table = TRUTHS[attribute]
    if bool((table[one] <= table[other]).all()):
        return one
    return other if bool((table[other] <= table[one]).all()) else None


@dataclass(frozen=True)
class Bands:
    """Where one level ends and the next begins; an end belongs to the upper level."""

    thickness: Sequence[float]
    """Four, rising, in pixels."""
    slant: Sequence[float]
    """Four, rising, in degrees."""
    width: Sequence[Sequence[float]]
    """Two for each digit, in pixels: a one is always narrow."""

    @classmethod
    def fitted(
        cls,
        thickness: Sequence[float],
        slant: Sequence[float],
        width_quantiles: Sequence[float],
        attributes: Attributes,
        labels: NDArray[np.int64],
    ) -> Bands:
        """Given ends of thickness and slant; those of width are quantiles within each digit."""
        of_digits = [attributes.width[labels == digit] for digit in range(CLASSES)]
        ends = [np.quantile(widths, width_quantiles).tolist() for widths in of_digits]
        return cls(tuple(thickness), tuple(slant), ends)

    def levels(self, attributes: Attributes, labels: NDArray[np.int64]) -> Codes:
        """(n, 4) of digits with these attributes and labels (n,), 0 to 9."""
        ends = np.asarray(self.width)[labels]
        width = (attributes.width[:, None] >= ends).sum(axis=1)
        thickness = np.digitize(attributes.thickness, self.thickness)
        slant = np.digitize(attributes.slant, self.slant)
        return np.stack([labels, thickness, slant, width], axis=1).astype(np.int64)


@dataclass(frozen=True)
class Corners:
    """A corner of thickness and slant for each digit that nothing that learns text ever sees."""

    codes: Sequence[Sequence[int]]
    """For each digit a code of thickness and one of slant."""

    def hold(self, levels: Codes) -> NDArray[np.bool_]:
        """(n,): which digits, (n, 4), lie in the corner of theirs."""
        thickness, slant = np.asarray(self.codes)[levels[:, DIGIT]].T
        thick = TRUTHS[THICKNESS][thickness, levels[:, THICKNESS]]
        leaning: NDArray[np.bool_] = TRUTHS[SLANT][slant, levels[:, SLANT]]
        return thick & leaning

    def hold_all_of(self, asked: Sequence[int]) -> bool:
        """Whether whatever this caption, (4,), is true of lies in a corner: it was never said."""
        if asked[DIGIT] == NOTHING:
            return False
        corner = self.codes[asked[DIGIT]]
        inside = (
            bool((TRUTHS[attribute][asked[attribute]] <= TRUTHS[attribute][code]).all())
            for attribute, code in zip((THICKNESS, SLANT), corner, strict=True)
        )
        return all(inside)
