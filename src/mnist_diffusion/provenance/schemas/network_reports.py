"""reports/classifier.json and reports/autoencoder.json: both networks on the real test digits."""

from __future__ import annotations

from mnist_diffusion.provenance.schemas.artifact import Confusion, Digest, PerDigit, Strict


class ReliabilityBin(Strict):
    """Digits that the classifier was about equally sure of."""

    confidence: float
    accuracy: float
    count: int


class ClassifierReport(Strict):
    """How often the classifier reads a real test digit, and how well it knows that it does."""

    n: int
    accuracy: float
    accuracy_per_class: PerDigit
    confusion: Confusion
    expected_calibration_error: float
    reliability: list[ReliabilityBin]
    classifier_sha256: Digest


class AutoencoderReport(Strict):
    """How well the autoencoder restores real test digits."""

    n: int
    features: int
    reconstruction_error: float
    """Mean squared, of pixels in [-1, 1]."""
    variance: float
    """The same of the mean image: what no network at all would reach."""
    autoencoder_sha256: Digest
