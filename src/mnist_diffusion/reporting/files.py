"""The files a report is made of: their shapes, and readers that refuse a wrong one in one line."""

from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mnist_diffusion.errors import UserError
from mnist_diffusion.jsonfile import read_json


class File(BaseModel):
    """A JSON file of an earlier stage; keys the report has no use for are passed over."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class Interval(File):
    """A mean, the lowest and the highest value."""

    mean: float
    low: float
    high: float


class Floor(File):
    """What random sets of n real test digits score against the training digits: no bound.

    Test digits are other writers' and the judge was trained on the training digits, so a model that
    repeats training digits could score below it.
    """

    fd: Interval
    relative_fd: Interval
    accuracy: Interval


class ReferenceReport(File):
    """reports/reference.json"""

    n: int
    features: int
    classifier_sha256: str
    reference_sha256: str
    floors: dict[str, Floor]
    """By n, written out: "2000"."""


class ReliabilityBin(File):
    """Digits that the classifier was about equally sure of."""

    confidence: float
    accuracy: float
    count: int


class ClassifierReport(File):
    """reports/classifier.json: the judge on the real test digits."""

    n: int
    accuracy: float
    accuracy_per_class: dict[str, float | None]
    expected_calibration_error: float
    reliability: list[ReliabilityBin]
    confusion: list[list[int]]
    """Rows are the true digit, columns the judged one."""
    classifier_sha256: str


class CellMetrics(File):
    """reports/metrics/<cell>.json; relative FD and accuracies are fractions."""

    cell: str
    run: str
    n: int
    fd: float
    relative_fd: float
    fd_floor: float
    relative_fd_floor: float
    accuracy: float | None
    accuracy_per_class: dict[str, float | None] | None
    confusion: list[list[int]] | None
    """Rows are the digit asked for, columns the judged one."""
    confidence: float
    classifier_sha256: str
    reference_sha256: str
    samples_sha256: str


class ScheduleCard(File):
    """What tells one noise schedule from another of the same name."""

    timesteps: int
    alpha_bar_last: float
    log_snr_max: float
    log_snr_min: float | None
    """None where no signal is left at all: minus infinity."""
    first_step_signal: float
    """Square root of alpha-bar where sampling starts: 0 would be pure noise."""


class SampleParameters(File):
    """How the cell was drawn, beyond its sampler, steps and guidance, as it was at the time."""

    spacing: str
    x0_bound: str
    dynamic_quantile: float
    guidance_interval: str
    """Of sigma / alpha: "all", or "0.2 to 2.0"."""
    guidance_rescale: float
    sample_seed: int


class Environment(File):
    """What a stage ran on."""

    device: str
    """cpu or cuda, the latter perhaps with a number."""
    threads: str | int
    cpu: str
    gpu: str = "none"


class SampleManifest(File):
    """data/samples/<cell>/manifest.json"""

    name: str
    parameters: SampleParameters
    schedule: ScheduleCard
    network_evaluations: int
    """Per image, counted while drawing: a guided step costs two."""
    trajectory_timesteps: list[int]
    inputs: dict[str, str]
    outputs: dict[str, str]
    """Digests by name: weights_sha256, betas_sha256; images_sha256, …"""
    environment: Environment


class RunConfig(File):
    """models/<run>/config.json"""

    parameters: int


class RunManifest(File):
    """models/<run>/manifest.json"""

    outputs: dict[str, str]
    """Digests by name: weights_sha256, …"""


class Noising(File):
    """models/<run>/noising.json; timestep -1 is the clean digit."""

    timesteps: list[int]


class Timing(File):
    """A sidecar of reports/timings; no DVC out, so it may tell of another run than the files do."""

    seconds: float
    tags: dict[str, str] = Field(default_factory=dict)
    """Digests of what the timed stage read and wrote."""


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
