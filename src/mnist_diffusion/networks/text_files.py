"""A frozen text encoder, as it travels with a run whose prompts it reads."""

from __future__ import annotations

from pathlib import Path

from mnist_diffusion.files import paths
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.encoders import ENCODERS, Clip, TextEncoder

TEXT = "text"
"""Its folder, in that of a network."""


def save_text_encoder(folder: Path, encoder: TextEncoder) -> None:
    """Write it into a folder of its own, in `folder`."""
    (folder / TEXT).mkdir()
    checkpoint.save(folder / TEXT, encoder, {"network": {"name": "text", "sizes": encoder.sizes}})


def load_clip() -> Clip:
    """That of models/clip; its text encoder is what runs are asked through."""
    clip, _ = checkpoint.load(paths.CLIP, ENCODERS)
    assert isinstance(clip, Clip)
    return clip


def load_text_encoder(folder: Path) -> TextEncoder:
    """The inverse of `save_text_encoder`; UserError if a file is not what it must be."""
    encoder, _ = checkpoint.load(folder / TEXT, ENCODERS)
    assert isinstance(encoder, TextEncoder)
    return encoder
