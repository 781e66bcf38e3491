"""CITATION.cff at the root: who made this, and under which licence, for every other format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mnist_diffusion.files.yamlfile import read_yaml
from mnist_diffusion.runtime.errors import UserError

FILE = Path("CITATION.cff")
SPDX = "https://spdx.org/licenses/"


@dataclass(frozen=True)
class Citation:
    """What is cited."""

    title: str
    abstract: str
    authors: str
    version: str
    licence: str
    """As SPDX calls it."""


def read_citation() -> Citation:
    """Of the current folder; UserError if a key is missing."""
    content = read_yaml(FILE)
    try:
        authors = ", ".join(author["name"] for author in content["authors"])
        title, abstract = content["title"], content["abstract"]
        return Citation(title, abstract, authors, content["version"], content["license"])
    except KeyError as missing:
        raise UserError(f"{FILE}: {missing.args[0]}: not there; restore it from git") from None
