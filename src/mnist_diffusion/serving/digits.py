"""A trained run as a function from rows of wishes to rows of pictures."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.generation import drawing
from mnist_diffusion.generation.request import Request, request
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import Compute, ResolvedCell, Sample

if TYPE_CHECKING:
    import pandas as pd

DEFAULTS = "defaults.json"
"""Beside the weights: the cell that a wish changes, what cells share, and where to compute."""
WISHES = {"digit": int, "guidance": float, "steps": int, "seed": int, "count": int}
"""Columns of a request, by their types; each may be left out."""
MOST = 1000
"""Images per row: a server answers others too."""


class Digits:
    """What MLflow calls; it knows nothing of MLflow."""

    def __init__(self, folder: Path):
        defaults = read_json(folder / DEFAULTS)
        self._base = ResolvedCell.model_validate(defaults["cell"])
        self._shared = Sample.model_validate(defaults["sample"])
        self._trained = drawing.load(folder, Compute.model_validate(defaults["compute"]))

    def predict(self, wishes: pd.DataFrame) -> pd.DataFrame:
        """A row a picture: `request`, the row that asked, `digit`, `seed`, `image`, base64 `png`.

        UserError if a row is refused; then nothing was drawn.
        """
        import pandas as pd

        asked = [self._request(row) for row in wishes.to_dict("records")]
        rows = [row for place, one in enumerate(asked) for row in self._rows(place, one)]
        return pd.DataFrame(rows, columns=["request", "digit", "seed", "image", "png"])

    def _request(self, row: Mapping[Any, Any]) -> Request:
        known = {key: _value(key, row[key]) for key in row if key in WISHES}
        given: dict[str, Any] = {key: value for key, value in known.items() if value is not None}
        if given.get("count", 1) > MOST:
            raise UserError(f"count: got {given['count']}; ask for {MOST} at most")
        config = self._trained.config
        return request(self._base, self._shared, config, run=self._base.run, **given)

    def _rows(self, place: int, one: Request) -> Iterator[dict[str, Any]]:
        images = np.concatenate(list(drawing.batches(self._trained, one)))
        for number, (index, image) in enumerate(zip(one.indices, images, strict=True)):
            digit = index % 10 if one.cell.guidance else None
            told = {"request": place, "digit": digit, "seed": one.sample.seed, "image": number}
            yield {**told, "png": _png(image)}


def _value(key: str, value: Any) -> int | float | None:
    """A cell of the table as a number; None where nothing is said."""
    if value is None or value != value:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{key}: got {value!r}; give a number")
    number = float(value)
    if WISHES[key] is float:
        return number
    if not number.is_integer():  # nor are NaN and infinity
        raise UserError(f"{key}: got {value}; give a whole number")
    return int(value)


def _png(image: np.ndarray) -> str:
    file = BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")
