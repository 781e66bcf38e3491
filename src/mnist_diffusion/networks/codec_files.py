"""A codec with its scale, as it travels with whatever was made in its space."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.codecs import CODECS, Codec
from mnist_diffusion.networks.latent_scale import Scale
from mnist_diffusion.runtime.errors import UserError

CODEC = "codec"
"""Its folder, in that of a network or of data."""
SCALE = "scale.json"


def save_codec(folder: Path, codec: Codec, config: dict[str, Any], scale: Scale) -> None:
    """Write it into a folder of its own, in `folder`."""
    own = folder / CODEC
    own.mkdir()
    checkpoint.save(own, codec, config)
    scale.save(own / SCALE)


def load_codec(folder: Path) -> tuple[Codec, Scale]:
    """The inverse of `save_codec`; UserError if a file is not what it must be."""
    codec, _ = checkpoint.load(folder / CODEC, CODECS)
    assert isinstance(codec, Codec)
    scale = Scale.load(folder / CODEC / SCALE)
    if len(scale.mean) != codec.latent or len(scale.deviation) != codec.latent:
        raise UserError(
            f"{folder / CODEC / SCALE}: of another codec; delete it and run `dvc repro`"
        )
    return codec, scale
