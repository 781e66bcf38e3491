"""What is taken on demand, to be held against what others publish: reports/yardsticks/."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from mnist_diffusion.provenance.schemas.artifact import Digest, Sourced, Strict
from mnist_diffusion.provenance.schemas.cell_reports import TransferAccuracy


class Taken(Sourced):
    """When, and at which commit."""

    git_commit: str | None
    git_dirty: bool | None
    finished: str


class TstrYardstick(Taken):
    """reports/yardsticks/tstr-<cell>.json: what many drawn digits teach, beside as many real."""

    cell: str
    parameters: dict[str, Any]
    """The cell, what cells share, and the classifier's recipe."""
    weights: dict[str, Digest]
    """Of all networks that drew."""
    count: int
    published: int
    """How many of the drawn digits are those of the cell's sample set: its first, bit by bit."""
    images_sha256: Digest
    drawn: TransferAccuracy
    real: TransferAccuracy
    processor_seconds: dict[str, int]
    """Of all threads."""


class Lap(Strict):
    """One seed of a speedrun."""

    seed: int
    seconds: float
    """By the wall's clock: training and drawing, each stage a process, Python's start included."""
    processor_seconds: float
    """Of all threads, the same."""
    load: float
    """Processes that ran or waited before it, on average over a minute."""
    fd_infinity: float
    error: float
    """Its standard error over images."""
    second_fd_infinity: float
    accuracy: float
    copies_p: float
    samples_sha256: Digest
    reached: bool


class SpeedrunRecord(Taken):
    """reports/yardsticks/speedrun.json: seconds to a stated FD∞, means over seeds."""

    rules: dict[str, Any]
    scale: dict[str, Any]
    reached: bool
    """By every seed."""
    seconds: float
    processor_seconds: float
    laps: Annotated[list[Lap], Field(min_length=1)]
