"""The digits with what captions can say of them, in data/captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mnist_diffusion.dataset.attributes import Attributes
from mnist_diffusion.dataset.grammar import VOCABULARY
from mnist_diffusion.dataset.levels import Bands, Codes, Corners
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json, write_json
from mnist_diffusion.runtime.errors import UserError

GRAMMAR = "grammar.json"
LEVELS = "levels-train.npy"
"""Of the training digits, here and beside the encoders that learn from them."""
SPLITS = ("train", "test")
"""Those that are captioned."""
THICKNESSES = {"thin": 1, "thick": 3}
SLANTS = {"left": 1, "right": 3}
"""Codes of the words that a corner is named by."""


@dataclass(frozen=True)
class Meaning:
    """What words mean in pixels and degrees, and what nothing that learns them has seen."""

    bands: Bands
    corners: Corners

    def save(self, path: Path) -> None:
        """Write it with the words it is about."""
        content = {
            "thickness": list(self.bands.thickness),
            "slant": list(self.bands.slant),
            "width": [list(ends) for ends in self.bands.width],
            "held_out": [list(codes) for codes in self.corners.codes],
            "vocabulary": VOCABULARY,
        }
        write_json(path, content)

    @classmethod
    def load(cls, path: Path) -> Meaning:
        """Read it; UserError if its words are not those of the code, or it is none."""
        content: dict[str, Any] = read_json(path)
        try:
            words = content["vocabulary"]
            bands = Bands(content["thickness"], content["slant"], content["width"])
            corners = Corners(content["held_out"])
        except (KeyError, TypeError):
            raise UserError(f"{path}: no grammar; delete it and run `dvc repro`") from None
        if words != VOCABULARY:
            raise UserError(f"{path}: of other words than the code's; run `dvc repro`")
        return cls(bands, corners)


def corners_of(names: Sequence[str]) -> Corners:
    """From names such as "thin left", one for each digit."""
    words = [name.split() for name in names]
    return Corners([(THICKNESSES[thickness], SLANTS[slant]) for thickness, slant in words])


def save_captioned(split: str, attributes: Attributes, levels: Codes, folder: Path) -> None:
    """Write attributes-<split>.npy, (n, 3) float64, and levels-<split>.npy, (n, 4) int64."""
    np.save(folder / f"attributes-{split}.npy", attributes.table(), allow_pickle=False)
    np.save(folder / f"levels-{split}.npy", levels, allow_pickle=False)


def load_attributes(split: str) -> Attributes:
    """Measurements of the digits of a split, from data/captions."""
    table = np.load(paths.CAPTIONS / f"attributes-{split}.npy", allow_pickle=False)
    return Attributes.from_table(table)


def load_levels(split: str) -> Codes:
    """(n, 4) of the digits of a split, from data/captions."""
    levels: Codes = np.load(paths.CAPTIONS / f"levels-{split}.npy", allow_pickle=False)
    return levels


def load_meaning() -> Meaning:
    """That of data/captions."""
    return Meaning.load(paths.CAPTIONS / GRAMMAR)
