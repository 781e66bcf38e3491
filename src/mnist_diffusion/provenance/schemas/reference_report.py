"""reports/reference.json: the real digits under both networks, and the real-vs-real baseline."""

from __future__ import annotations

from mnist_diffusion.provenance.schemas.artifact import Digest, Spread, Strict


class RealBaseline(Strict, extra="allow"):
    """What random sets of n real test digits score against the training digits: no bound.

    Test digits are other writers' and the classifier was trained on the training digits, so a model
    that repeats training digits could score below it. By metric.
    """

    __pydantic_extra__: dict[str, Spread]
    fd_per_class: dict[str, Spread | None]


class AutoencoderStatistics(Strict):
    """The training digits under the autoencoder."""

    n: int
    features: int
    trace: float
    reference_sha256: Digest
    autoencoder_sha256: Digest


class RealMemorisation(Strict):
    """Distances of the real test digits to the nearest training digit."""

    median_distance: float


class RealPixels(Strict):
    """Ink of the real test digits."""

    saturated: float
    mass: float


class ReferenceReport(Strict):
    """Statistics of the training digits, and what test digits score."""

    n: int
    features: int
    trace: float
    """Total variance of the features: the unit of the relative distance."""
    reference_sha256: Digest
    n_per_class: dict[str, int]
    n_test: int
    classifier_sha256: Digest
    second: AutoencoderStatistics
    memorisation: RealMemorisation
    pixels: RealPixels
    floors: dict[str, RealBaseline]
    """By n, written out: "2000"."""
