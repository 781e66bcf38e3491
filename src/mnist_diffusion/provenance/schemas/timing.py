"""reports/timings/<stage>.json: a sidecar of what no DVC output may hold, as no two runs agree."""

from __future__ import annotations

from mnist_diffusion.provenance.schemas.artifact import Digest, Strict


class Timing(Strict):
    """How long a stage took. It may be that of another run than the files: see its digests."""

    seconds: float
    threads: int | None = None
    """How many worked at it."""
    images_per_second: float | None = None
    finished: str
    """UTC, ISO 8601."""
    git_commit: str | None = None
    git_dirty: bool | None = None
    dvc_experiment: str | None = None
    """Its name, under `dvc exp run`."""
    manifest_sha256: Digest | None = None
