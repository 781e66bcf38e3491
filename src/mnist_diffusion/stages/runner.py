"""Running a stage: checked, alone, timed and tracked."""

from __future__ import annotations

import importlib
import time
from datetime import UTC, datetime
from typing import Any

from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json, write_json
from mnist_diffusion.pipeline import STAGES
from mnist_diffusion.provenance.digests import json_digest
from mnist_diffusion.runtime.locks import exclusive_lock
from mnist_diffusion.runtime.parent_watch import exit_with_parent
from mnist_diffusion.runtime.threads import worker_count
from mnist_diffusion.settings import Settings, load_settings
from mnist_diffusion.stages.record import Record
from mnist_diffusion.tracking import commit, flush, note, waited_seconds

FLUSH_AFTER_SECONDS = 300.0
"""Opening MLflow costs 4 s: too much for each of many short stages, little now and then, so that
whoever looks sees the pipeline go on. LAST_STAGE brings the others."""
LAST_STAGE = "report"


def run_stage(stage: str, name: str | None = None) -> None:
    """Check the settings, run the stage, then time and track it.

    UserError if another process is at it. A stage whose DVC is killed dies with it.
    """
    settings = load_settings()
    STAGES[stage].check_name(settings, name)
    address = STAGES[stage].address(name)
    exit_with_parent()
    with exclusive_lock(address):
        started = time.perf_counter()
        earlier = _module(stage).run(settings, *_names(name)) or 0.0
        seconds = earlier + time.perf_counter() - started
        record = record_of(settings, stage, name)
        write_json(paths.timing(stage, name), _sidecar(stage, name, record, seconds))
    note(stage, name, record, seconds, settings.scale)
    if stage == LAST_STAGE or max(seconds, waited_seconds()) > FLUSH_AFTER_SECONDS:
        flush()


def record_of(settings: Settings, stage: str, name: str | None = None) -> Record:
    """What a stage has published, as tracking wants it; UserError if it is not there."""
    record: Record = _module(stage).record(settings, *_names(name))
    return record


def _module(stage: str) -> Any:
    return importlib.import_module(f"mnist_diffusion.stages.{stage}")


def _names(name: str | None) -> list[str]:
    return [name] if name else []


def _sidecar(stage: str, name: str | None, record: Record, seconds: float) -> dict[str, Any]:
    """What no DVC out may hold, since no two runs agree on it."""
    published = STAGES[stage].published(name)
    return {
        "seconds": round(seconds, 2),
        "threads": worker_count(),
        "images_per_second": round(record.images / seconds, 1) if record.images else None,
        "tags": dict(record.tags),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        **commit(),
        "manifest_sha256": json_digest(read_json(published)) if published else None,
    }
