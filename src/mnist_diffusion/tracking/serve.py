"""A trained run as MLflow serves it, from rows of wishes to rows of pictures.

MLflow keeps a copy of this file with the weights and runs it to load them (models from code).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from PIL import Image

from mnist_diffusion.generation import drawing
from mnist_diffusion.generation.drawing import WISHES, Request, request
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import Compute, ResolvedCell, SharedChoices

MOST = 1000
"""Images per row: a server answers others too."""


class DigitServer(PythonModel):
    """What MLflow calls."""

    def load_context(self, context: PythonModelContext) -> None:
        defaults = context.model_config
        folder = Path(next(iter(context.artifacts.values()))).parent
        self._base = ResolvedCell.model_validate(defaults["cell"])
        self._shared = SharedChoices.model_validate(defaults["sample"])
        compute = Compute.model_validate(defaults["compute"])
        self._trained = drawing.load(folder, compute, self._base)

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """A row a picture: `request`, the row that asked, `digit`, `seed`, `image`, base64 `png`.

        Where a row is refused nothing is drawn, and the server answers 400 with the cause.
        """
        try:
            asked = [self._request(row) for row in model_input.to_dict("records")]
            rows = [row for place, one in enumerate(asked) for row in self._rows(place, one)]
        except UserError as error:
            raise MlflowException(str(error), error_code=BAD_REQUEST) from None
        return pd.DataFrame(rows, columns=["request", "digit", "seed", "image", "png"])

    def _request(self, row: Mapping[Any, Any]) -> Request:
        given = {key: _number(key, row[key]) for key in WISHES if not _is_missing(row.get(key))}
        if given.get("count", 1) > MOST:
            raise UserError(f"count: got {given['count']}; ask for {MOST} at most")
        asked: dict[str, Any] = {"run": self._base.run, **given}
        return request(self._base, self._shared, self._trained.config, **asked)

    def _rows(self, place: int, one: Request) -> list[dict[str, Any]]:
        images = np.concatenate(list(drawing.batches(self._trained, one)))
        asked = one.cell.guidance > 0
        return [
            {
                "request": place,
                "digit": index % 10 if asked else None,
                "seed": one.sample.seed,
                "image": number,
                "png": _png(image),
            }
            for number, (index, image) in enumerate(zip(one.indices, images, strict=True))
        ]


def _is_missing(value: Any) -> bool:
    return value is None or bool(value != value)


def _number(key: str, value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{key}: got {value!r}; give a number")
    if WISHES[key] is float:
        return float(value)
    if not float(value).is_integer():  # nor is infinity
        raise UserError(f"{key}: got {value}; give a whole number")
    return int(value)


def _png(image: np.ndarray) -> str:
    file = BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")


set_model(DigitServer())
