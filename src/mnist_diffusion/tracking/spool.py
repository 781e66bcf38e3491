"""Stages that have ended and are not in MLflow yet: a folder each under `.work/tracking`.

An entry `<time in ns>-<stage>@<name>` holds record.json and copies of the artifacts, so that what
it tells stays true however late it is logged. Names that begin with a dot are half made or half
deleted, and no entries.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mnist_diffusion.files import paths
from mnist_diffusion.provenance.environment import git_commit
from mnist_diffusion.tracking.entry import Entry, UnusableEntryError, make_entry, title
from mnist_diffusion.tracking.records import Record
from mnist_diffusion.tracking.store import root

SPOOL = paths.WORK / "tracking"
BROKEN = "broken"
RECORD = "record.json"
ARTIFACTS = "artifacts"


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
        now = time.time_ns() // 1_000_000
        entry = make_entry(
            stage, name, record, scale=scale, seconds=seconds, end_ms=now, commit=git_commit()
        )
        _write(f"{time.time_ns()}-{label}", entry, record.artifacts)
    except Exception as error:
        warn(f"{label}: will be missing in MLflow, its files are fine", error)


def waiting() -> list[Path]:
    """The entries, oldest first."""
    return sorted(folder().glob("[0-9]*-*"))


def waited_seconds() -> float:
    """How long the oldest entry has been waiting; 0 if there is none."""
    stamps = (place.name.partition("-")[0] for place in waiting())
    noted = [int(stamp) for stamp in stamps if stamp.isdecimal()]
    return (time.time_ns() - min(noted)) / 1e9 if noted else 0.0


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


def warn(what: str, cause: Exception) -> None:
    """One line on stderr, however long the cause."""
    reason = " ".join(f"{type(cause).__name__}: {cause}".split())[:200]
    sys.stderr.write(f"warning: {what}: {reason}\n")


def _write(name: str, entry: Entry, files: Sequence[Path]) -> None:
    folder().mkdir(parents=True, exist_ok=True)
    with _hidden() as hidden:
        place = Path(hidden) / name
        (place / ARTIFACTS).mkdir(parents=True)
        _copy(files, place / ARTIFACTS, entry.address)
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
