"""Only plain files are looked into: a pipe would be waited for for ever, a link shows another."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path


def regular(path: Path) -> Path:
    """The path, if it is a plain file; ValueError if it is something else."""
    if not stat.S_ISREG(path.lstat().st_mode):
        raise ValueError(f"{path} is no plain file")
    return path


def links(path: Path) -> Iterator[Path]:
    """Those of a relative path and the folders above it that are symbolic links."""
    return (part for part in (path, *path.parents) if part.is_symlink())
