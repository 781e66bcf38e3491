"""Readers of the files a report is made of; each refuses a wrong one in one line."""

from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.runtime.errors import UserError


class File(BaseModel):
    """A JSON file of an earlier stage; keys the report has no use for are passed over."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class Interval(File):
    """A mean, the lowest and the highest value."""

    mean: float
    low: float
    high: float


Ends = Annotated[list[float], Field(min_length=2, max_length=2)]
"""[low, high]"""


Shape = TypeVar("Shape", bound=File)


def read_file(path: Path, shape: type[Shape]) -> Shape:
    """Read a JSON file of a known shape; UserError names the key that is wrong."""
    try:
        return shape.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        cause = f"{key}: {first['msg'][0].lower()}{first['msg'][1:]}"
        raise UserError(f"{path}: {cause}; delete it and run `dvc repro`") from None


def read_table(path: Path, columns: list[str]) -> pd.DataFrame:
    """Read a CSV that has at least these columns."""
    try:
        frame = pd.read_csv(path)
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run `dvc repro` first") from None
    except ValueError as error:
        cause = str(error).splitlines()[0]
        raise UserError(f"{path}: not CSV ({cause}); delete it and run `dvc repro`") from None
    missing = [column for column in columns if column not in frame]
    if missing or frame.empty:
        cause = f"no column {missing[0]!r}" if missing else "no rows"
        raise UserError(f"{path}: {cause}; delete it and run `dvc repro`")
    return frame


def read_array(path: Path, dtype: str, dimensions: int) -> NDArray[np.generic]:
    """Map a .npy file of a known type into memory; pickles are refused."""
    try:
        array: NDArray[np.generic] = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run `dvc repro` first") from None
    except ValueError as error:
        raise UserError(f"{path}: not an array ({error}); delete it and run `dvc repro`") from None
    if array.dtype != dtype or array.ndim != dimensions or array.size == 0:
        form = f"{array.dtype} {array.shape}"
        cause = f"is {form}, not {dtype} in {dimensions} dimensions"
        raise UserError(f"{path}: {cause}; delete it and run `dvc repro`")
    return array
