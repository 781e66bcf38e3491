"""YAML files, read as DVC reads them."""

import re
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from mnist_diffusion.files import paths
from mnist_diffusion.runtime.errors import UserError


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a file as `parse_yaml` does a text; UserError also if it cannot be read."""
    try:
        return parse_yaml(path, str(path))
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run from the repository's root") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; restore it from git") from None


def read_lock(folder: Path = Path()) -> dict[str, Any]:
    """The entries of a folder's dvc.lock by the address of a stage; UserError if it is not whole.

    libyaml reads it, which is fast, and words its complaints its own way.
    """
    path = folder / paths.LOCK
    if not path.exists():
        raise UserError(f"{path}: not found; run `dvc repro` first")
    try:
        stages: dict[str, Any] = YAML(typ="safe").load(path)["stages"]
        parts = [entry.get(part, ()) for entry in stages.values() for part in ("deps", "outs")]
        whole = all({"path", "md5", "size"} <= one.keys() for part in parts for one in part)
    except (YAMLError, ValueError, AttributeError, LookupError, TypeError):
        whole = False
    if not whole:
        raise UserError(f"{path}: not whole; `git restore` it, or `dvc repro`")
    return stages


def value_at(content: Any, key: str, missing: object = None) -> Any:
    """What stands at a dotted key."""
    try:
        return reduce(getitem, key.split("."), content)
    except (LookupError, TypeError):
        return missing


def parse_yaml(text: str | Path, source: str) -> dict[str, Any]:
    """YAML 1.2 as DVC reads it: 1e-4 is a number, off is a word, duplicate keys are refused."""
    try:
        content = YAML(typ="safe", pure=True).load(text)  # libyaml words its complaints its own way
    except (YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{source}: {_yaml_trouble(error)}") from None
    if not isinstance(content, dict):
        raise UserError(f"{source}: holds no settings; restore it from git")
    return content


def _yaml_trouble(error: Exception) -> str:
    """What keeps a text from being YAML, and where."""
    text = " ".join(str(error).split())
    line = ""
    if isinstance(error, MarkedYAMLError):
        text = " ".join(str(error.problem).split())
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
    twice = re.search(r'duplicate key "(.{1,60}?)"', text)
    if isinstance(error, DuplicateKeyError) and twice:
        return f"{line}{twice[1]} stands here twice; keep one"
    return f"{line}{text[:200]}; mend the YAML"
