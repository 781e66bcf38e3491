"""What was judged beyond single sample sets: comparisons, training sets, progress, the metrics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mnist_diffusion.files import paths
from mnist_diffusion.reporting.files import read_file
from mnist_diffusion.reporting.measures import (
    Calibration,
    Comparison,
    Comparisons,
    FdCurve,
    Tstr,
)
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import Settings


@dataclass(frozen=True)
class Evidence:
    """The reports that tell of more than one cell or of more than its images."""

    level: float
    comparisons: list[Comparison]
    tstr: dict[str, Tstr]
    """By cell."""
    fd_curves: dict[str, FdCurve]
    """By run."""
    calibration: Calibration


def load_evidence(settings: Settings) -> Evidence:
    """Read what the settings declare; UserError names the first file that is missing or wrong."""
    compared = read_file(paths.COMPARISONS, Comparisons)
    _check_cells((one.cell for one in compared.comparisons), settings)
    _check_cells((one.baseline for one in compared.comparisons), settings)
    return Evidence(
        level=compared.level,
        comparisons=compared.comparisons,
        tstr={name: _read_tstr(name) for name in tstr_cells(settings)},
        fd_curves={name: _read_progress(name) for name in progress_runs(settings)},
        calibration=read_file(paths.CALIBRATION, Calibration),
    )


def tstr_cells(settings: Settings) -> list[str]:
    """The cells whose samples train a classifier."""
    return list(settings.tstr.cells)


def progress_runs(settings: Settings) -> list[str]:
    """The runs that are judged along their training."""
    return list(settings.runs)


def _read_tstr(name: str) -> Tstr:
    path = paths.tstr(name)
    found = read_file(path, Tstr)
    _agree(path, "cell", found.cell, name)
    return found


def _read_progress(name: str) -> FdCurve:
    path = paths.fd_curve(name)
    found = read_file(path, FdCurve)
    _agree(path, "run", found.run, name)
    return found


def _agree(path: Path, what: str, found: str, expected: str) -> None:
    if found != expected:
        cause = f"is of {what} {found}, not {expected}"
        raise UserError(f"{path}: {cause}; delete it and run `dvc repro`")


def _check_cells(names: Iterable[str], settings: Settings) -> None:
    for name in names:
        if name not in settings.cells:
            cause = f"compares {name}, which params.yaml does not declare"
            raise UserError(f"{paths.COMPARISONS}: {cause}; run `dvc repro`")
