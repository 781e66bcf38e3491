"""DVC's own repository, without what it does anew for each stage."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dvc.repo import Repo


def open_repo(config: dict[str, Any] | None = None) -> Repo:
    """That of the current folder; `config` goes before its own.

    params.yaml is parsed once for each state of it, not for each stage that reads it. dvc.lock, in
    which there are no comments to keep, is parsed by C where an entry is to be written.
    """
    from dvc.dependency import param
    from dvc.repo import Repo
    from dvc.utils.serialize import _yaml

    param.load_path = _load_once
    _yaml.parse_yaml_for_update = _yaml.parse_yaml
    return Repo(config=config)


def _load_once(path: str, fs: Any, **_: Any) -> Any:
    state = fs.info(path)
    return _load(path, fs, state["mtime"], state["size"], state["ino"])


@lru_cache(maxsize=8)
def _load(path: str, fs: Any, *_: object) -> Any:
    from dvc.utils.serialize import load_path

    return load_path(path, fs)
