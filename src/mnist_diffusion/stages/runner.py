"""Running a stage: checked, alone and timed."""

from __future__ import annotations

import importlib
import os
import time
from datetime import UTC, datetime
from typing import Any

from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json, write_json
from mnist_diffusion.pipeline import STAGES, Outcome
from mnist_diffusion.provenance.digests import json_digest
from mnist_diffusion.provenance.environment import git_commit
from mnist_diffusion.provenance.source import require_recorded
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.runtime.instructions import limit_instructions
from mnist_diffusion.runtime.locks import exclusive_lock
from mnist_diffusion.runtime.parent_watch import exit_with_parent
from mnist_diffusion.runtime.ranks import rank, world
from mnist_diffusion.runtime.threads import worker_count
from mnist_diffusion.settings import Settings, load_settings


def run_stage(stage: str, name: str | None = None) -> None:
    """Check the settings, run the stage, and note how long it took.

    UserError if another process is at it, or if other source is on record. A stage whose DVC is
    killed dies with it. Of several processes the first does all that, and the others help it.
    """
    settings = load_settings()
    STAGES[stage].check_name(settings, name)
    address = STAGES[stage].address(name)
    limit_instructions(settings.compute.instructions)
    require_recorded(stage)
    exit_with_parent()
    if world() > 1 and not STAGES[stage].shared:
        raise UserError(f"{address}: a stage for one process, not {world()}; run it by itself")
    if rank():
        _work(stage, settings, name)
        return
    with exclusive_lock(address):
        started = time.perf_counter()
        outcome = _work(stage, settings, name)
        seconds = outcome.earlier_seconds + time.perf_counter() - started
        write_json(paths.timing(stage, name), _sidecar(stage, name, outcome, seconds))


def _work(stage: str, settings: Settings, name: str | None) -> Outcome:
    module = importlib.import_module(f"mnist_diffusion.stages.{stage}")
    return module.run(settings, *filter(None, [name])) or Outcome()


def _sidecar(stage: str, name: str | None, outcome: Outcome, seconds: float) -> dict[str, Any]:
    """What no DVC out may hold, since no two runs agree on it."""
    published = STAGES[stage].published(name)
    return {
        "seconds": round(seconds, 2),
        "threads": worker_count(),
        "images_per_second": round(outcome.images / seconds, 1) if outcome.images else None,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        **git_commit(),
        "dvc_experiment": os.environ.get("DVC_EXP_NAME"),
        "manifest_sha256": json_digest(read_json(published)) if published else None,
    }
