"""Stages that have ended and are not in MLflow yet: a folder each under `.work/tracking`.

An entry `<time in ns>-<stage>@<name>` holds record.json and copies of the artifacts, so that what
it tells stays true however late it is logged. Names that begin with a dot are half made or half
deleted, and no entries.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mnist_diffusion import paths
from mnist_diffusion.tracking.record import Record, text
from mnist_diffusion.tracking.store import git, root

SPOOL = paths.WORK / "tracking"
BROKEN = "broken"
RECORD = "record.json"
ARTIFACTS = "artifacts"
NAME_TAG = {"train": "run", "sample": "cell", "evaluate": "cell"}
SOURCES = ("src", "params.yaml", "dvc.yaml", "requirements.lock")
"""What decides a result; dvc.lock and the reports change in every repro and are not dirt."""


class UnusableEntryError(Exception):
    """An entry that no later attempt can log either."""


@dataclass(frozen=True)
class Entry:
    """A stage that has ended, as its record.json has it."""

    stage: str
    name: str | None
    scale: str | None
    seconds: float
    end_ms: int
    images: int | None
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    history: list[tuple[str, float, int]]
    """Metric, value, step."""


def folder() -> Path:
    """The spool, at the repository's root like the store."""
    return root() / SPOOL


def note(
    stage: str, name: str | None, record: Record, seconds: float, scale: str | None = None
) -> None:
    """Put a stage that has just ended, after `seconds`, into the spool.

    Its files are written by then, so nothing here raises: a failure is one line on stderr.
    """
    label = title(stage, name)
    try:
        entry = _entry(stage, name, record, seconds, scale)
        _write(f"{time.time_ns()}-{label}", entry, record.artifacts)
    except Exception as error:
        warn(f"{label}: will be missing in MLflow, its files are fine", error)


def waiting() -> list[Path]:
    """The entries, oldest first."""
    return sorted(folder().glob("[0-9]*-*"))


def read(place: Path) -> Entry:
    """Read an entry; UnusableEntryError if it is not one."""
    try:
        content: dict[str, Any] = json.loads((place / RECORD).read_text(encoding="utf-8"))
        numbers = {key: float(value) for key, value in content["metrics"].items()}
        points = [(str(key), float(value), int(step)) for key, value, step in content["history"]]
        return Entry(**{**content, "metrics": numbers, "history": points})
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UnusableEntryError(f"{type(error).__name__}: {error}") from None


def artifacts(place: Path) -> list[Path]:
    """The files of an entry."""
    return sorted((place / ARTIFACTS).glob("*"))


def remove(place: Path) -> None:
    """Delete an entry, in one step for whoever looks."""
    with _hidden() as hidden:
        place.rename(Path(hidden) / place.name)


def set_aside(place: Path) -> None:
    """Move an entry to where nobody tries it again."""
    target = folder() / BROKEN / place.name
    target.parent.mkdir(exist_ok=True)
    place.rename(target)


def title(stage: str, name: str | None) -> str:
    """A stage as DVC calls it."""
    return f"{stage}@{name}" if name else stage


def warn(what: str, cause: Exception) -> None:
    """One line on stderr, however long the cause."""
    reason = " ".join(f"{type(cause).__name__}: {cause}".split())[:200]
    sys.stderr.write(f"warning: {what}: {reason}\n")


def _entry(
    stage: str, name: str | None, record: Record, seconds: float, scale: str | None
) -> Entry:
    return Entry(
        stage=stage,
        name=name,
        scale=scale,
        seconds=seconds,
        end_ms=time.time_ns() // 1_000_000,
        images=record.images,
        params={key: text(value) for key, value in record.params.items()},
        metrics={key: float(value) for key, value in record.metrics.items()},
        tags={key: text(value) for key, value in _tags(stage, name, record, scale).items()},
        history=[(point.metric, float(point.value), int(point.step)) for point in record.history],
    )


def _tags(stage: str, name: str | None, record: Record, scale: str | None) -> dict[str, str]:
    """Stage, run or cell, scale, git commit and DVC experiment, before the record's own."""
    commit = git("rev-parse", "HEAD")
    changes = git("status", "--porcelain", "--", *SOURCES)
    own = {
        "stage": stage,
        NAME_TAG.get(stage, "name"): name,
        "scale": scale,
        "git_commit": commit,
        "git_dirty": None if changes is None else text(bool(changes)),
        "mlflow.source.git.commit": commit,
        "mlflow.source.name": f"mnist-diffusion {' '.join(filter(None, (stage, name)))}",
        "mlflow.source.type": "LOCAL",
        "dvc_experiment": os.environ.get("DVC_EXP_NAME"),
    }
    return {key: value for key, value in own.items() if value} | dict(record.tags)


def _write(name: str, entry: Entry, files: Sequence[Path]) -> None:
    folder().mkdir(parents=True, exist_ok=True)
    with _hidden() as hidden:
        place = Path(hidden) / name
        (place / ARTIFACTS).mkdir(parents=True)
        _copy(files, place / ARTIFACTS, title(entry.stage, entry.name))
        # A diverged run has NaN, which this private file may hold, unlike those of the pipeline.
        (place / RECORD).write_text(json.dumps(asdict(entry)), encoding="utf-8")
        place.rename(folder() / name)


def _copy(files: Iterable[Path], target: Path, label: str) -> None:
    for file in files:
        try:
            shutil.copyfile(file, target / file.name)
        except OSError as error:
            warn(f"{label}: {file.name} will be missing in MLflow", error)


def _hidden() -> TemporaryDirectory[str]:
    """A folder that is no entry, on the same disk, where a rename is one step."""
    return TemporaryDirectory(prefix=".", dir=folder(), ignore_cleanup_errors=True)
