"""A frozen text encoder, as it travels with a run whose prompts it reads."""

from __future__ import annotations

from pathlib import Path

from mnist_diffusion.files import paths
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.encoders import ENCODERS, Clip, TextEncoder

PREFIX = "text-"
"""Of its files, beside those of a network."""
FILES = (f"{PREFIX}{checkpoint.WEIGHTS}", f"{PREFIX}{checkpoint.CONFIG}")


def save_text_encoder(folder: Path, encoder: TextEncoder) -> None:
    """Write FILES."""
    checkpoint.save(folder, encoder, {"network": {"name": "text", "sizes": encoder.sizes}}, PREFIX)


def load_clip() -> Clip:
    """That of models/clip; its text encoder is what runs are asked through."""
    clip, _ = checkpoint.load(paths.CLIP, ENCODERS)
    assert isinstance(clip, Clip)
    return clip


def load_text_encoder(folder: Path) -> TextEncoder:
    """The inverse of `save_text_encoder`; UserError if a file is not what it must be."""
    encoder, _ = checkpoint.load(folder, ENCODERS, PREFIX)
    assert isinstance(encoder, TextEncoder)
    return encoder
