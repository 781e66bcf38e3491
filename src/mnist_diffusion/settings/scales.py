"""Scales: what to change in params.yaml for another amount of work.

params.yaml stays the one source of truth. A scale is put into it, not consulted beside it, and
`git restore params.yaml` takes it out again.

A file of scales/ says only what differs, merged into params.yaml key by key; what is no section
replaces. Entries of `runs` and `cells` that are new start from `defaults`, as those of params.yaml
do, and null takes out what stands there; `keep` names those that stay as they are, if not all do.
"""

from __future__ import annotations

import io
import subprocess
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from mnist_diffusion.files import paths
from mnist_diffusion.files.atomic import write_atomically
from mnist_diffusion.files.yamlfile import parse_yaml
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings.messages import suggest
from mnist_diffusion.settings.whole import parse_settings

COMMITTED = "laptop"
"""The scale of params.yaml as committed: it has no file of its own."""
KEEP = "keep"
ENTRIES = {"runs": "run", "cells": "cell"}
"""Sections of named entries, and the part of `defaults` that new ones start from."""


def scale_names() -> list[str]:
    """The scales that apply_scale knows."""
    return sorted(path.stem for path in paths.SCALES.glob("*.yaml"))


def apply_scale(name: str, force: bool) -> None:
    """Put scales/<name>.yaml into params.yaml.

    Raises UserError, with nothing written, for an unknown scale, for a params.yaml that git could
    not give back (unless `force`), or if the result is not valid.
    """
    if name == COMMITTED:
        raise UserError(f"scale {name}: is params.yaml as committed; git restore {paths.PARAMS}")
    if name not in scale_names():
        raise UserError(f"scale {name!r}: there is none; {suggest(name, scale_names())}")
    here, committed = paths.PARAMS.read_text(encoding="utf-8"), _committed()
    if here != committed and not force:
        raise UserError(
            f"{paths.PARAMS}: is not as committed, and would be lost; "
            f"git restore {paths.PARAMS}, or pass --force"
        )
    source = paths.SCALES / f"{name}.yaml"
    text = scaled(committed or here, source.read_text(encoding="utf-8"), str(source))
    write_atomically(paths.PARAMS, text)


def scaled(base: str, scale: str, source: str) -> str:
    """The text of `base`, a params.yaml, with what `scale` says; UserError if it is not valid.

    Comments and layout stay, but for those of entries that go; the header is the scale's.
    """
    if parse_yaml(base, str(paths.PARAMS)).get("scale") != COMMITTED:
        raise UserError(f"{paths.PARAMS}: holds another scale already; bring {COMMITTED} back")
    parse_yaml(scale, source)
    yaml = _round_trip()
    document, differences = yaml.load(base), yaml.load(scale)
    document.ca.comment = differences.ca.comment
    keep = differences.pop(KEEP, {})
    _require(keep, ENTRIES, f"{source}: {KEEP}")
    entries = {section: differences.pop(section, {}) for section in ENTRIES}
    _merge(document, differences)
    for section, different in entries.items():
        _require(keep.get(section, ()), document[section], f"{source}: {KEEP}.{section}")
        for name in {*document[section]} - {*keep.get(section, document[section]), *different}:
            del document[section][name]
        _merge_entries(document[section], different, document["defaults"][ENTRIES[section]])
    stream = io.StringIO()
    yaml.dump(document, stream)
    parse_settings(parse_yaml(stream.getvalue(), source), source)
    return stream.getvalue()


def _require(names: Iterable[str], there: Collection[str], key: str) -> None:
    for name in names:
        if name not in there:
            raise UserError(f"{key}: there is no {name!r}; {suggest(name, there)}")


def _merge(place: CommentedMap, differences: Mapping[str, Any]) -> None:
    for key, different in differences.items():
        if isinstance(different, Mapping) and isinstance(place.get(key), Mapping):
            _merge(place[key], different)
        else:
            place[key] = different


def _merge_entries(
    entries: CommentedMap, differences: Mapping[str, Any], default: Mapping[str, Any]
) -> None:
    """What is new starts from the default; null takes out an entry, or a key of one."""
    for name, different in differences.items():
        if name not in entries:
            entries[name] = CommentedMap(default)
            entries[name].fa.set_flow_style()
        _merge(entries[name], different or {})
        for key in [key for key, value in (different or {}).items() if value is None]:
            del entries[name][key]
        if different is None:
            del entries[name]


def _round_trip() -> YAML:
    """A reader and writer that keeps comments, anchors and the way that values are written."""
    yaml = YAML()
    yaml.width = 4096
    yaml.representer.add_representer(
        type(None), lambda writer, _: writer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    return yaml


def _committed() -> str | None:
    """params.yaml as git has it, and can give it back; None if it has not."""
    command = ["git", "show", f"HEAD:./{paths.PARAMS}"]
    try:
        shown = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        return None
    return shown.stdout.decode() if shown.returncode == 0 else None
