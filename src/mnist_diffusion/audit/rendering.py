"""The report once more: rendered from the files that it tells of, and held against itself."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from mnist_diffusion.audit.evidence import Evidence
from mnist_diffusion.audit.findings import Findings, failed, note, some, unverified
from mnist_diffusion.audit.plainfiles import regular
from mnist_diffusion.audit.redrawing import surroundings
from mnist_diffusion.files import paths
from mnist_diffusion.reporting.pages import SCORES, render
from mnist_diffusion.reporting.reading import load_results

FOLDERS = (paths.TABLES, paths.FIGURES, SCORES)
"""What holds nothing but parts of the report."""


def check(evidence: Evidence) -> Findings:
    """Every page, table and picture is, byte for byte, what is rendered from what is here."""
    files = render(load_results(evidence.settings))
    _, foreign = surroundings(evidence.json(paths.COMPARISONS)["environment"])
    tell, where = (unverified, f" on another {some(foreign)}") if foreign else (failed, "")
    others = [
        path for path, content in sorted(files.items()) if regular(path).read_bytes() != content
    ]
    for path in others:
        yield tell(path, f"not what the files here are rendered to{where}; run `dvc repro report`")
    for path in _extras(files):
        yield unverified(path, "no part of the report; delete it")
    if not others:
        yield note(paths.REPORTS, f"rendered again, byte for byte the same: {len(files)} files")


def _extras(files: Collection[Path]) -> Iterator[Path]:
    for folder in FOLDERS:
        yield from (path for path in sorted(folder.iterdir()) if path not in files)
