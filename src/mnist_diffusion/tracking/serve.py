"""A trained run as MLflow serves it, from rows of wishes to rows of pictures.

MLflow keeps a copy of this file with the weights and runs it to load them (models from code).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mnist_diffusion.files.images import png_bytes
from mnist_diffusion.generation import drawing
from mnist_diffusion.generation.drawing import Request, request
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import Compute, ResolvedCell, SharedChoices
from mnist_diffusion.settings.messages import explain


class Wish(BaseModel):
    """What a row may ask; what it leaves out is as in the headline cell."""

    model_config = ConfigDict(extra="forbid")

    digit: int | None = None
    guidance: float | None = None
    steps: int | None = None
    seed: int | None = None
    prompt: str | None = None
    count: int = Field(1, le=1000)
    """A server answers others, too."""


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
        given = {key: asked for key, asked in row.items() if asked is not None and asked == asked}
        try:
            wish = Wish.model_validate(given)
        except ValidationError as error:
            raise UserError(explain(error, Wish)) from None
        asked = wish.model_dump()
        return request(self._base, self._shared, self._trained.config, run=self._base.run, **asked)

    def _rows(self, place: int, one: Request) -> list[dict[str, Any]]:
        images = np.concatenate(list(drawing.batches(self._trained, one)))
        asked = one.cell.guidance > 0 and one.prompt is None
        return [
            {
                "request": place,
                "digit": index % 10 if asked else one.prompt and one.prompt.digit,
                "seed": one.sample.seed,
                "image": number,
                "png": base64.b64encode(png_bytes(Image.fromarray(image))).decode("ascii"),
            }
            for number, (index, image) in enumerate(zip(one.indices, images, strict=True))
        ]


set_model(DigitServer())
