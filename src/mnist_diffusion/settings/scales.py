"""Scales: named replacements for whole sections of params.yaml.

params.yaml stays the one source of truth. A scale is put into it, not consulted beside it, and
`git restore params.yaml` takes it out again.
"""

import os
import re
import subprocess

from mnist_diffusion.files import paths
from mnist_diffusion.files.yamlfile import read_yaml
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import parse_settings
from mnist_diffusion.settings.messages import suggest

COMMITTED = "laptop"
"""The scale of params.yaml as committed: it has no file of its own."""
SECTION = re.compile(r"^(?:#.*\n)*^([A-Za-z_][\w-]*):", re.MULTILINE)
"""A key at the left margin, with the comment that stands right above it."""


def scale_names() -> list[str]:
    """The scales that apply_scale knows."""
    return sorted(path.stem for path in paths.SCALES.glob("*.yaml"))


def apply_scale(name: str, force: bool) -> None:
    """Replace each section of params.yaml that scales/<name>.yaml has; leave the others alone.

    Nothing is merged inside a section. Comments and layout are kept: those of a replaced section
    come from the scale's file. Raises UserError, with nothing written, for an unknown scale, for a
    params.yaml that git could not give back (unless `force`), or if the result is not valid.
    """
    _require_scale(name)
    if not force:
        _require_committed()
    source = paths.SCALES / f"{name}.yaml"
    wanted = {**read_yaml(paths.PARAMS), **read_yaml(source)}
    parse_settings(wanted, str(source))
    text = overlaid(paths.PARAMS.read_text(encoding="utf-8"), source.read_text(encoding="utf-8"))
    temporary = paths.PARAMS.with_name(f".{paths.PARAMS.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        if read_yaml(temporary) != wanted:
            raise UserError(f"{paths.PARAMS}: unusual layout; start each section at the margin")
        temporary.replace(paths.PARAMS)
    finally:
        temporary.unlink(missing_ok=True)


def overlaid(base: str, scale: str) -> str:
    """The text of `base` with the header and the sections that `scale` has."""
    header, sections = _split(base)
    scale_header, scale_sections = _split(scale)
    return (scale_header or header) + "\n\n".join({**sections, **scale_sections}.values()) + "\n"


def _split(text: str) -> tuple[str, dict[str, str]]:
    """What stands above the first section, and each section's text, comment and all, by key."""
    starts = list(SECTION.finditer(text))
    ends = [match.start() for match in starts[1:]] + [len(text)]
    sections = {
        match[1]: text[match.start() : end].rstrip()
        for match, end in zip(starts, ends, strict=True)
    }
    return text[: starts[0].start()] if starts else text, sections


def _require_scale(name: str) -> None:
    if name == COMMITTED:
        raise UserError(f"scale {name}: is params.yaml as committed; git restore {paths.PARAMS}")
    if name not in scale_names():
        raise UserError(f"scale {name!r}: there is none; {suggest(name, scale_names())}")


def _require_committed() -> None:
    """What git has, git can give back; anything else would be lost."""
    command = ["git", "diff", "--quiet", "HEAD", "--", str(paths.PARAMS)]
    try:
        same = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        same = False
    if not same:
        raise UserError(
            f"{paths.PARAMS}: is not as committed, and would be lost; "
            f"git restore {paths.PARAMS}, or pass --force"
        )
