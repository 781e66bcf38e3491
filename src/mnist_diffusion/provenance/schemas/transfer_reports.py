"""reports/trtr.json, reports/tstr/<cell>.json: classifiers trained on few digits, tested on real.

TRTR trains on real digits, TSTR on drawn ones, by one recipe and on as many.
"""

from __future__ import annotations

from mnist_diffusion.provenance.schemas.artifact import Digest, Ends, PerDigit, Sourced, Strict


class TransferAccuracy(Strict):
    """Accuracy on the real test digits."""

    accuracy: float
    accuracy_per_class: PerDigit
    interval: Ends


class TrtrReport(Sourced):
    """Trained on real digits."""

    n_test: int
    level: float
    epochs: int
    by_n: dict[str, TransferAccuracy]
    """By the number of training digits, written out: "2000"."""
    training_seeds: int


class TstrReport(Sourced):
    """Trained on a cell's digits."""

    cell: str
    run: str
    n: int
    n_test: int
    level: float
    epochs: int
    training_seeds: int
    accuracy: float
    accuracy_per_class: PerDigit
    interval: Ends
    real_accuracy: float
    """The same recipe on as many real training digits."""
    real_interval: Ends
    samples_sha256: Digest
