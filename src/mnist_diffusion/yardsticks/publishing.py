"""Figures on disk, with what they were made from and by what, when and on which machine."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from mnist_diffusion.files import paths
from mnist_diffusion.provenance.environment import git_commit
from mnist_diffusion.provenance.lineage import digested, told_of
from mnist_diffusion.provenance.schemas.artifact import dump
from mnist_diffusion.provenance.schemas.yardsticks import Taken
from mnist_diffusion.provenance.source import stage_code

Shape = TypeVar("Shape", bound=Taken)


def publish(
    name: str, shape: type[Shape], stages: Sequence[str], folders: Sequence[Path], **content: Any
) -> Shape:
    """Write reports/yardsticks/<name>.json: made as these stages do it, from these folders.

    UserError if a folder is not what its manifest says.
    """
    code = {path: digest for stage in stages for path, digest in stage_code(stage).items()}
    made: dict[str, Any] = {
        "made_from": digested(folders)[1],
        "code": told_of(code),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        **git_commit(),
    }
    figure = shape(**content, **made)
    dump(paths.yardstick(name), figure)
    return figure
