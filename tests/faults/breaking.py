"""A repository's files with another content for a while."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clones import Clone

from mnist_diffusion.files.jsonfile import to_text
from mnist_diffusion.provenance.digests import content_digest


@contextmanager
def replaced(path: Path, content: bytes | None) -> Iterator[None]:
    """A file with another content, a folder for None, and then again with its own."""
    before = path.read_bytes()
    path.unlink()
    path.mkdir() if content is None else path.write_bytes(content)
    try:
        yield
    finally:
        path.rmdir() if content is None else path.unlink()
        path.write_bytes(before)


def fitting(clone: Clone, manifest: Path, name: str) -> bytes:
    """The manifest, with the digest of a file as it now is, if it can be read at all."""
    told = json.loads(manifest.read_text())
    try:
        told["files"][name] = content_digest(clone.folder / name)
    except ValueError:
        told["files"][name] = "0" * 64
    return to_text(told).encode()
