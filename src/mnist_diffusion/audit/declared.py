"""What params.yaml says, now, in dvc.lock and at a commit, as manifests have it."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from mnist_diffusion.audit.chain import Member
from mnist_diffusion.audit.findings import equal
from mnist_diffusion.audit.plainfiles import regular
from mnist_diffusion.files import paths
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.settings import Settings, parse_settings

NOTHING = "nothing"
"""What stands for a key that is not there."""


def parameters(content: dict[str, Any], source: str, member: Member) -> dict[str, Any]:
    """The parameters that a stage would put into its manifest, given all of params.yaml.

    UserError if these are no settings, KeyError if they declare no such run or cell,
    FileNotFoundError if the run of a cell is not there.
    """
    settings: Settings = parse_settings(content, source)
    module = importlib.import_module(f"mnist_diffusion.stages.{member.stage}")
    names = [member.name] if member.name else []
    if member.stage == "sample":  # a set's parameters tell of its run, too
        regular(paths.model(settings.cells[str(member.name)].run) / checkpoint.CONFIG)
    found: dict[str, Any] = module.parameters(settings, *names)
    return found


def recorded(stage: Mapping[str, Any]) -> dict[str, Any]:
    """The params that dvc.lock has of a stage, by their dotted keys."""
    return dict(stage.get("params", {}).get(str(paths.PARAMS), {}))


def look_up(content: Any, dotted: str) -> Any:
    """The value of a dotted key; NOTHING if it is not there."""
    for key in dotted.split("."):
        if not isinstance(content, dict) or key not in content:
            return NOTHING
        content = content[key]
    return content


def within(key: str, expected: Any, found: Any) -> Iterator[tuple[str, Any, Any]]:
    """The innermost dotted keys in which two values differ, with both."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for name in sorted({*expected, *found}):
            inner = expected.get(name, NOTHING), found.get(name, NOTHING)
            yield from within(f"{key}.{name}", *inner)
    elif not equal(expected, found):
        yield key, expected, found


def overlaid(content: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """All of params.yaml, with other values at some dotted keys."""
    whole = copy.deepcopy(content)
    for dotted, value in values.items():
        *sections, last = dotted.split(".")
        place = whole
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = value
    return whole


def differences(
    expected: Mapping[str, Any], found: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """The keys in which two mappings differ, with both values."""
    for key in sorted({*expected, *found}):
        mine, theirs = expected.get(key, NOTHING), found.get(key, NOTHING)
        if not equal(mine, theirs):
            yield key, mine, theirs
