"""All that params.yaml declares, and what of it is published: for MLflow, from the files alone."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from mnist_diffusion.dataset import mnist
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.pipeline import STAGES, declared
from mnist_diffusion.provenance.digests import json_digest
from mnist_diffusion.serving.registration import register_models
from mnist_diffusion.settings import Settings, load_settings
from mnist_diffusion.tracking.records import PAGE, RECORDS, record_of
from mnist_diffusion.tracking.spool import warn
from mnist_diffusion.tracking.store import root
from mnist_diffusion.tracking.sync import Counts, Result, sync
from mnist_diffusion.tracking.tables import mark

SYNC_AFTER_SECONDS = 300.0
"""Opening MLflow costs 4 s: too much for each of many short stages, little now and then, so that
whoever looks sees the pipeline go on. LAST_STAGE brings the others."""
LAST_STAGE = "report"
STAMP = paths.WORK / "tracking" / "synced"


def keep_up(stage: str) -> None:
    """After a stage: complete MLflow if it was the last, or if the last time is long ago.

    Nothing here raises: the stage's files are written, and MLflow is only a view of them.
    """
    try:
        if stage == LAST_STAGE or _is_due(root() / STAMP):
            complete_mlflow()
    except Exception as error:
        warn("MLflow is not complete; run `mnist-diffusion track --sync`", error)


def _is_due(stamp: Path) -> bool:
    """Whether nobody has synced of late; if so, the stamp says that we are at it."""
    due = not stamp.exists() or time.time() - stamp.stat().st_mtime > SYNC_AFTER_SECONDS
    if due:
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.touch()
    return due


def complete_mlflow() -> Counts:
    """Make MLflow's view that of the files; what it lacks and cannot get is told on stderr."""
    settings = load_settings()
    results, unreadable = published(settings)
    addresses = {stage.address(name) for stage, name in declared(settings)}
    counts = sync(results, addresses)
    if counts.logged or counts.already:  # else MLflow does not answer, or there is nothing
        mark({name: table.cells for name, table in settings.tables})
        counts.failed += register_models(settings).failed
    if unreadable:
        counts.failed += len(unreadable)
        more = f" (and {len(unreadable) - 1} more)" if unreadable[1:] else ""
        sys.stderr.write(f"warning: {unreadable[0]}{more}; run `dvc repro`\n")
    return counts


def published(settings: Settings) -> tuple[list[Result], list[str]]:
    """What is there of the declared, and a line for each that is there and cannot be read."""
    found, unreadable = [], []
    for stage, name in ((stage.name, name) for stage, name in declared(settings)):
        if stage not in RECORDS or not all(file.is_file() for file in _files(stage, name)):
            continue
        try:
            if stage != "evaluate" or _is_of_these_images(str(name)):
                found.append(_result(settings, stage, name))
        except Exception as error:
            cause = " ".join(f"{type(error).__name__}: {error}".split())[:150]
            unreadable.append(f"{f'{stage}@{name}' if name else stage}: cannot be read ({cause})")
    return found, unreadable


def _files(stage: str, name: str | None) -> Iterator[Path]:
    """What must be there for a stage to have been published whole."""
    if stage == "fetch":
        yield from (paths.RAW / file for file in mnist.SHA256)
    if stage == "report":
        yield PAGE
    if stage == "evaluate":
        yield _manifest("sample", name)
    if STAGES[stage].published(name):
        yield _manifest(stage, name)


def _manifest(stage: str, name: str | None) -> Path:
    file = STAGES[stage].published(name)
    assert file is not None
    return file


def _is_of_these_images(cell: str) -> bool:
    """Not where the cell was drawn again and not judged yet: parameters and scores would mix."""
    judged = read_json(_manifest("evaluate", cell))["made_from"][f"sample@{cell}"]
    return bool(judged == json_digest(read_json(_manifest("sample", cell))))


def _result(settings: Settings, stage: str, name: str | None) -> Result:
    record = record_of(stage, name)
    timing = _timing(stage, name)
    finished = timing.get("finished")
    return Result(
        stage,
        name,
        record,
        seconds=timing.get("seconds"),
        scale=settings.scale,
        finished=datetime.fromisoformat(finished) if finished else None,
        commit={key: timing.get(key) for key in ("git_commit", "git_dirty", "dvc_experiment")},
        images_per_second=timing.get("images_per_second"),
    )


def _timing(stage: str, name: str | None) -> dict[str, Any]:
    """The sidecar, if it tells of what is published now and not of another time."""
    try:
        timing: dict[str, Any] = json.loads(paths.timing(stage, name).read_text(encoding="utf-8"))
        file = STAGES[stage].published(name)
        digest = json_digest(json.loads(file.read_text(encoding="utf-8"))) if file else None
        return timing if timing.get("manifest_sha256") == digest else {}
    except (OSError, ValueError, AttributeError):
        return {}
