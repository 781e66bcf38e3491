"""What is taken on demand, to be held against what others publish: reports/yardsticks/."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from mnist_diffusion.provenance.schemas.artifact import Digest, Ends, Sourced, Strict


class Taken(Sourced):
    """When, and at which commit."""

    git_commit: str | None
    git_dirty: bool | None
    finished: str


class Taught(Strict):
    """Accuracy on the real test digits of classifiers that differ in their seed."""

    accuracy: float
    """Their mean."""
    accuracies: Annotated[list[float], Field(min_length=2)]
    interval: Ends
    """Of other seeds and other test digits, these training digits given."""
    images_sha256: Digest
    """Of the digits that they were trained on."""
    labels_sha256: Digest


class TstrYardstick(Taken):
    """reports/yardsticks/tstr-<cell>.json: what many drawn digits teach, beside as many real."""

    cell: str
    run: str
    parameters: dict[str, Any]
    """The cell, what cells share, and the classifier's recipe."""
    weights: dict[str, Digest]
    """Of all networks that drew."""
    count: int
    n_test: int
    level: float
    drawn: Taught
    real: Taught
    published: int
    """How many of the drawn digits are the cell's published ones: the first, each to the last bit;
    0 where its sample set is not here."""
    processor_seconds: dict[str, float]
    """Of all threads: to draw, and to train and test all classifiers."""


class Lap(Strict):
    """One seed of a speedrun."""

    seed: int
    seconds: float
    """On the wall's clock: training and drawing, each stage a process, Python's start included."""
    processor_seconds: float
    """Of all threads, the same."""
    load_before: float
    load_after: float
    """Processes that ran or waited, on average over a minute: this lap's own are in the second."""
    fd_infinity: float
    error: float
    """Its standard error over images."""
    second_fd_infinity: float
    accuracy: float
    copies_p: float
    samples_sha256: Digest
    reached: bool


class SpeedrunRecord(Taken):
    """reports/yardsticks/speedrun.json: seconds to a stated FD∞."""

    rules: dict[str, Any]
    """docs/speedrun.yaml."""
    parameters: dict[str, Any]
    """The run, the cell, and how codecs are trained."""
    reached: bool
    """By every seed."""
    seconds: float
    processor_seconds: float
    """Means over seeds."""
    laps: Annotated[list[Lap], Field(min_length=1)]
