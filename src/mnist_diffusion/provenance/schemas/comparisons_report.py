"""reports/comparisons.json: the cells of each table against their baselines, with verdicts."""

from __future__ import annotations

from typing import Literal

from mnist_diffusion.provenance.schemas.artifact import Digest, Ends, Sourced, Strict

PairVerdict = Literal["better", "worse", "not distinguishable"]


class PairedComparison(Strict):
    """A cell against its table's baseline: paired by image, and corrected over the table (Holm)."""

    table: str
    baseline: str
    cell: str
    metric: str
    difference: float
    """The cell's value less the baseline's."""
    interval: Ends
    p: float
    p_holm: float
    verdict: PairVerdict
    n: int
    training_seeds: int


class LeftOut(Strict):
    """A cell of a table that no baseline may be held against."""

    table: str
    cell: str
    why: str


class ComparisonsReport(Sourced):
    """Every comparison of the declared tables."""

    level: float
    resamples: int
    comparisons: list[PairedComparison]
    left_out: list[LeftOut]
    classifier_sha256: Digest
    autoencoder_sha256: Digest
    reference_sha256: Digest
