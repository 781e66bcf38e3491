"""What goes to a worker and what comes back: the project in one archive, a task, its result."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnist_diffusion.files import paths
from mnist_diffusion.provenance.environment import git
from mnist_diffusion.runtime.errors import UserError

COPY = "MNIST_DIFFUSION_COPY"
"""Set where a stage runs in a copy of the project: its results are tracked elsewhere."""
RANKS = "MNIST_DIFFUSION_RANKS"
"""How many processes a stage is to be, where it is to be several."""
RESULT = Path(".result.json")
"""What a stage's errand has come to, within a copy."""
LEFT_OUT = ("docs", "tests", str(paths.LOCK))
"""What no stage reads, or DVC brings where it is read."""
NO_GIT = (
    "dvc.yaml: DVC needs git, and this folder is not a git repository; "
    "run `git init && git add -A && git commit -m start`"
)


@dataclass(frozen=True)
class Exchange:
    """How data gets from one copy of the project to the others."""

    cache: str
    """DVC's cache that all of them see; empty: each host has one of its own."""
    remote: Mapping[str, str] | None = None
    """The remote by which data travels then: its `name` in DVC, its `url`, and the like."""
    work: str | None = None
    """The project's .work, where all copies are on its host: unfinished work stays there."""


@dataclass(frozen=True)
class Task:
    """One stage to run."""

    address: str
    command: str
    """What dvc.yaml has it run."""
    gpus: int
    """How many it asks for; several: each runs a process of it."""
    parents: Mapping[str, Mapping[str, Any]]
    """Entries of dvc.lock of the stages whose outs it reads."""


@dataclass(frozen=True)
class Result:
    """What came of a task."""

    address: str
    entry: Mapping[str, Any] | None = None
    """The stage's own entry of dvc.lock; None: it failed."""
    timing: Mapping[str, Any] | None = None
    """The sidecar that tells how long the stage took."""
    seconds: float = 0.0
    """From its start to its end on the worker, all that DVC does included."""
    failure: str = ""
    """What went wrong, in a few words."""
    log: str = ""
    """The end of what it said, where the head does not see the file."""


def archive(outs: Collection[str]) -> bytes:
    """The files of the current folder that git has or would take, but those among `outs`."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", dereference=True) as tar:
        for name in _names({*outs, *LEFT_OUT}):
            tar.add(name, recursive=False)
    return packed.getvalue()


def _names(left_out: Collection[str]) -> Iterator[str]:
    listed = git("ls-files", "-coz", "--exclude-standard")
    if listed is None:
        raise UserError(NO_GIT)
    for name in sorted(filter(None, listed.split("\0"))):
        path = Path(name)
        if path.is_file() and not {str(path), *map(str, path.parents)} & {*left_out}:
            yield name
