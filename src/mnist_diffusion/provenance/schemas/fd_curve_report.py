"""reports/fd_curve/<run>.json: a run judged along its training."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mnist_diffusion.provenance.schemas.artifact import Digest, Sourced, Strict


class CurvePoint(Strict):
    """The averaged weights after some training, judged."""

    step: int
    images: int
    """Training images seen."""
    fd: float
    relative_fd: float
    samples_sha256: Digest


class FdCurveReport(Sourced):
    """FD by training images."""

    run: str
    count: int
    """Images drawn for each point."""
    sampler: str
    steps: int
    guidance: float
    points: Annotated[list[CurvePoint], Field(min_length=1)]
    digits_sha256: Digest
    """Of data/snapshots/<run>.npy, a few images of each point."""
    fd_floor: float
    relative_fd_floor: float
