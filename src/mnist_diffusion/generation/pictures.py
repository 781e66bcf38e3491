"""Drawn digits as files that one can look at, and that say what made them."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from mnist_diffusion.files.atomic import write_atomically
from mnist_diffusion.files.images import enlarged, in_rows, tiled
from mnist_diffusion.runtime.errors import UserError

KEY = "mnist-diffusion"
"""Of a PNG's text; a GIF has one comment, which is the same."""
STILL = (".png",)
MOVING = (".gif", ".apng")
GAP = 2
SHADE = 48
"""Of the gaps: digits stand on black."""
FRAME_MS, LAST_FRAME_MS = 90, 2000


def columns(count: int, all_digits: bool) -> int:
    """Ten where all digits are drawn, so that each has a column; else nearly a square."""
    return min(count, 10 if all_digits else int(np.ceil(np.sqrt(count))))


def sheet(images: np.ndarray, columns: int) -> np.ndarray:
    """Lay (n, 28, 28) out row by row, with gaps; gray where the last row ends early."""
    return np.pad(
        tiled(in_rows(images, columns, fill=SHADE), GAP, SHADE), GAP, constant_values=SHADE
    )


def write_still(path: Path, images: np.ndarray, columns: int, facts: Mapping[str, Any]) -> None:
    """Write a PNG, four times its size."""
    picture = enlarged(sheet(images, columns), 4)
    content = io.BytesIO()
    picture.save(content, "PNG", pnginfo=_text(facts), optimize=True)
    _write(path, content.getvalue())


def write_moving(path: Path, frames: np.ndarray, columns: int, facts: Mapping[str, Any]) -> None:
    """Write (frames, n, 28, 28) as a GIF or an animated PNG, twice its size, without end."""
    pictures = [enlarged(sheet(frame, columns), 2) for frame in frames]
    durations = [FRAME_MS] * (len(pictures) - 1) + [LAST_FRAME_MS]
    own: dict[str, Any] = {"format": "PNG", "pnginfo": _text(facts)}
    if path.suffix == ".gif":
        own = {"format": "GIF", "comment": _line(facts).encode("ascii")}
    content, rest = io.BytesIO(), pictures[1:]
    pictures[0].save(content, save_all=True, append_images=rest, duration=durations, loop=0, **own)
    _write(path, content.getvalue())


def facts_of(path: Path) -> dict[str, Any] | None:
    """What made a picture, as it says itself; None if it is none of ours."""
    try:
        with Image.open(path) as picture:
            text = picture.info.get(KEY) or picture.info.get("comment") or ""
            facts = json.loads(text)
    except (OSError, ValueError, UnidentifiedImageError):
        return None
    return facts if isinstance(facts, dict) and "weights_sha256" in facts else None


def check_target(path: Path, kinds: tuple[str, ...]) -> None:
    """UserError unless a picture of one of these kinds can be put there, over one of ours only."""
    if path.suffix not in kinds:
        raise UserError(f"{path}: not {' or '.join(kinds)}; name it so")
    if not path.parent.is_dir():
        raise UserError(f"{path.parent}: there is no such folder; make it")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise UserError(f"{path.parent}: cannot be written to; choose another folder")
    if (path.exists() or path.is_symlink()) and facts_of(path) is None:
        raise UserError(f"{path}: is there, and not made by generate; choose another name")


def _text(facts: Mapping[str, Any]) -> PngInfo:
    info = PngInfo()
    info.add_text("Software", KEY)
    info.add_text(KEY, _line(facts))
    return info


def _line(facts: Mapping[str, Any]) -> str:
    return json.dumps(facts, sort_keys=True)


def _write(path: Path, content: bytes) -> None:
    try:
        write_atomically(path, content)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); free it") from None
