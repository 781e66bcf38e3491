"""A codec with its scale, as it travels with whatever was made in its space."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.codecs import CODECS, Codec
from mnist_diffusion.networks.latent_scale import Scale
from mnist_diffusion.runtime.errors import UserError

PREFIX = "codec-"
"""Of its files, beside those of a network or of data."""
SCALE = f"{PREFIX}scale.json"
FILES = (f"{PREFIX}{checkpoint.WEIGHTS}", f"{PREFIX}{checkpoint.CONFIG}", SCALE)


def save_codec(folder: Path, codec: Codec, config: dict[str, Any], scale: Scale) -> None:
    """Write FILES."""
    checkpoint.save(folder, codec, config, PREFIX)
    scale.save(folder / SCALE)


def load_codec(folder: Path) -> tuple[Codec, Scale]:
    """The inverse of `save_codec`; UserError if a file is not what it must be."""
    codec, _ = checkpoint.load(folder, CODECS, PREFIX)
    assert isinstance(codec, Codec)
    scale = Scale.load(folder / SCALE)
    if len(scale.mean) != codec.latent or len(scale.deviation) != codec.latent:
        raise UserError(f"{folder / SCALE}: of another codec; delete it and run `dvc repro`")
    return codec, scale
