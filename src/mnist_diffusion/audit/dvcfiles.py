"""Hashes as DVC records them, made anew: its own database of hashes is not asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dvc.config import Config
from dvc.fs import localfs
from dvc.ignore import DvcIgnoreFilter
from dvc_data.hashfile.hash import file_md5
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree

from mnist_diffusion.audit.plainfiles import regular

FOLDER = ".dir"
"""What the hash of a folder ends with."""


def folder_md5(path: Path) -> str:
    """The MD5 of a file, or that of a folder's listing; .dvcignore holds."""
    if not path.is_dir():
        return str(file_md5(str(regular(path)), localfs))
    tree = Tree()
    for file, md5 in members(path):
        tree.add(Path(file).parts, None, HashInfo("md5", md5))
    tree.digest()
    return str(tree.hash_info.value)


def members(folder: Path) -> Iterator[tuple[str, str]]:
    """The files of a folder by their path in it, with their MD5."""
    whole = folder.absolute()
    for file in _ignore().find(localfs, str(whole)):
        place = regular(Path(file))
        yield place.relative_to(whole).as_posix(), str(file_md5(file, localfs))


def ignored(path: Path) -> bool:
    """Whether .dvcignore says that DVC has no business with a file, such as a desktop's own."""
    return bool(_ignore().is_ignored(localfs, str(path.absolute())))


def _ignore() -> DvcIgnoreFilter:
    return DvcIgnoreFilter(localfs, str(Path.cwd()))


def cache_object(cache: Path, md5: str) -> Path:
    """Where DVC's cache keeps what has this hash."""
    return cache / "files" / "md5" / md5[:2] / md5[2:]


def listed(folder_object: Any) -> dict[str, str]:
    """The files of a cached folder by their path in it, with their MD5."""
    return {str(entry["relpath"]): str(entry["md5"]) for entry in folder_object}


def cache_folder() -> Path:
    """The cache, where DVC's settings have it."""
    settings = Config(".dvc", validate=False) if Path(".dvc").is_dir() else {}
    return Path(settings.get("cache", {}).get("dir") or ".dvc/cache")
