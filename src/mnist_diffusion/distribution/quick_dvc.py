"""DVC's own repository, without what it does anew for each stage, or what stops it for ever."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache, partial, reduce
from operator import getitem
from pathlib import Path
from typing import Any

from dvc.dependency import param
from dvc.lock import make_lock
from dvc.repo import Repo
from dvc.rwlock import RWLOCK_FILE, RWLOCK_LOCK
from dvc.utils.serialize import _yaml, load_path


def open_repo(config: dict[str, Any] | None = None) -> Repo:
    """That of the current folder; `config` goes before its own.

    params.yaml is parsed once for each state of it, not for each stage that reads it. dvc.lock, in
    which there are no comments to keep, is parsed by C where an entry is to be written.
    """
    if not isinstance(param.read_param_file, partial):
        param.read_param_file = partial(_read, param.read_param_file)
    _yaml.parse_yaml_for_update = _yaml.parse_yaml
    repo = Repo(config=config)
    _remove_torn_rwlock(repo)
    return repo


def _read(
    by_dvc: Callable[..., Any],
    fs: Any,
    path: str,
    keys: Sequence[str] | None = None,
    flatten: bool = False,
    **_: Any,
) -> Any:
    """What a file has by dotted keys; what is not simply there, as DVC itself looks for it."""
    if keys and flatten:
        state = fs.info(path)
        content = _load(path, fs, state["mtime"], state["size"], state["ino"])
        with suppress(KeyError, TypeError):
            return {key: reduce(getitem, key.split("."), content) for key in keys}
    return by_dvc(fs, path, keys, flatten)


@lru_cache(maxsize=8)
def _load(path: str, fs: Any, *_: object) -> Any:
    return load_path(path, fs)


def _remove_torn_rwlock(repo: Repo) -> None:
    """DVC writes in place which files it is at, and reads nothing that was killed meanwhile."""
    file = Path(str(repo.tmp_dir), RWLOCK_FILE)
    if not file.exists():
        return
    hard = repo.config["core"].get("hardlink_lock", False)
    guard = make_lock(str(file.with_name(RWLOCK_LOCK)), repo.tmp_dir, hardlink_lock=hard)
    with guard:  # or another may be just writing it
        try:
            json.loads(file.read_bytes())
        except ValueError:
            file.unlink()
