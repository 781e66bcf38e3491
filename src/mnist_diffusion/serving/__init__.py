"""The model that `mlflow models serve` answers with, and which of them MLflow gets.

MLflow finds `_load_pyfunc` by this package's name: nothing of ours is pickled.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.serving.digits import Digits
from mnist_diffusion.tracking.models import bad_request

if TYPE_CHECKING:
    import pandas as pd


class _Model:
    """Digits whose refusals a server turns into a line of status 400."""

    def __init__(self, digits: Digits):
        self._digits = digits

    def predict(self, wishes: pd.DataFrame) -> pd.DataFrame:
        try:
            return self._digits.predict(wishes)
        except UserError as error:
            raise bad_request(str(error)) from None


def _load_pyfunc(folder: str) -> _Model:
    return _Model(Digits(Path(folder)))
