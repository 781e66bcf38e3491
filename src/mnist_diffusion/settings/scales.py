"""Scales: what to change in params.yaml for another amount of work.

params.yaml stays the one source of truth. A scale is put into it, not consulted beside it, and
`git restore params.yaml` takes it out again.

A file of scales/ says only what differs, merged into params.yaml key by key; what is no section
replaces. Entries of `runs` and `cells` that are new start from `defaults`, as those of params.yaml
do, and null takes out what stands there; `keep` names those that stay as they are, if not all do.
"""

from __future__ import annotations

import io
import re
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
COMMENT = re.compile(r"^(?:#.*\n)+")
KEEP = "keep"
ENTRIES = {"runs": "run", "cells": "cell"}
"""Sections of named entries, and the part of `defaults` that new ones start from."""
SECTION = re.compile(r"^(?:#.*\n)*^([A-Za-z_][\w-]*):", re.MULTILINE)
"""A key at the left margin, with the comment that stands right above it."""


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

    Sections that the scale does not touch stay as they are, comments and all.
    """
    if parse_yaml(base, str(paths.PARAMS)).get("scale") != COMMITTED:
        raise UserError(f"{paths.PARAMS}: holds another scale already; bring {COMMITTED} back")
    parse_yaml(scale, source)
    differences = _round_trip().load(scale)
    keep = differences.pop(KEEP, {})
    document = _round_trip().load(_with_stubs(base, differences))
    for section, names in keep.items():
        if section not in ENTRIES:
            raise UserError(f"{source}: {KEEP}.{section}: unknown key; {suggest(section, ENTRIES)}")
        named = dict.fromkeys([*names, *differences.get(section, {})])
        document[section] = _kept(document[section], named, f"{source}: {KEEP}.{section}")
    _merge(document, differences)
    text = _overlaid(base, scale, _dumped(document), {*differences, *keep})
    parse_settings(parse_yaml(text, source), source)
    return text


def _with_stubs(base: str, differences: Mapping[str, Any]) -> str:
    """The text of `base` with the entries that are new to it, each as it starts."""
    there, (header, sections) = parse_yaml(base, str(paths.PARAMS)), _split(base)
    for section, default in ENTRIES.items():
        for name in differences.get(section, {}):
            if name not in there[section]:
                sections[section] += f"\n  {name}: {{<<: *{default}}}"
    return header + "\n\n".join(sections.values()) + "\n"


def _kept(section: CommentedMap, names: Iterable[str], key: str) -> CommentedMap:
    """These entries alone, without the comments between them."""
    for name in names:
        if name not in section:
            raise UserError(f"{key}: there is no {name!r}; {suggest(name, section)}")
    return CommentedMap((name, section[name]) for name in names)


def _merge(place: CommentedMap, differences: Mapping[str, Any], in_entries: bool = False) -> None:
    for key, different in differences.items():
        if different is None and in_entries:
            place.pop(key, None)
        elif isinstance(different, Mapping) and isinstance(place.get(key), Mapping):
            _merge(place[key], different, in_entries or key in ENTRIES)
        else:
            place[key] = different


def _overlaid(base: str, scale: str, merged: str, changed: Collection[str]) -> str:
    """The text of `base` under the header of the scale; sections that changed as merged."""
    sections, new = _split(base)[1], _split(merged)[1]
    for name in changed:
        comment = COMMENT.match(sections.get(name, ""))
        sections[name] = (comment[0] if comment else "") + COMMENT.sub("", new[name], count=1)
    return _split(scale)[0] + "\n\n".join(sections.values()) + "\n"


def _split(text: str) -> tuple[str, dict[str, str]]:
    """What stands above the first section, and each section's text, comment and all, by key."""
    starts = list(SECTION.finditer(text))
    ends = [match.start() for match in starts[1:]] + [len(text)]
    sections = {
        match[1]: text[match.start() : end].rstrip()
        for match, end in zip(starts, ends, strict=True)
    }
    return text[: starts[0].start()] if starts else text, sections


def _round_trip() -> YAML:
    """A reader and writer that keeps comments, anchors and the way that values are written."""
    yaml = YAML()
    yaml.width = 4096
    yaml.representer.add_representer(
        type(None), lambda writer, _: writer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    return yaml


def _dumped(document: CommentedMap) -> str:
    stream = io.StringIO()
    _round_trip().dump(document, stream)
    return stream.getvalue()


def _committed() -> str | None:
    """params.yaml as git has it, and can give it back; None if it has not."""
    command = ["git", "show", f"HEAD:./{paths.PARAMS}"]
    try:
        shown = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        return None
    return shown.stdout.decode() if shown.returncode == 0 else None
