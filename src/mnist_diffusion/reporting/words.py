"""What the report calls things, where params.yaml has a shorter name."""

from __future__ import annotations

from collections.abc import Iterable

from mnist_diffusion.reporting.results import CellResult

SAMPLERS = {"ddpm": "DDPM", "ddim": "DDIM", "dpm-solver": "DPM-Solver++(2M)"}
LOSSES = {"epsilon": "ε-MSE", "v": "v-MSE"}
"""By `weighting`: the mean squared error that the training minimises."""


def condition(cell: CellResult) -> str:
    """What a cell is told of the digit, and how strongly."""
    if cell.run.settings.conditioning == "uncond":
        return "unconditional"
    return f"class-conditional, s = {cell.settings.guidance:g}"


def by_condition(cells: Iterable[CellResult]) -> dict[str, list[CellResult]]:
    """Cells that may be ranked against one another: unconditional first, then by rising s."""
    groups: dict[str, list[CellResult]] = {}
    for cell in sorted(cells, key=_condition_rank):
        groups.setdefault(condition(cell), []).append(cell)
    return groups


def machines(cells: Iterable[CellResult]) -> str:
    """Where the cells with a timing were drawn; empty if there are none."""
    names = dict.fromkeys(_machine(cell) for cell in cells if cell.seconds is not None)
    return "; ".join(names)


def _condition_rank(cell: CellResult) -> tuple[bool, float]:
    return cell.run.settings.conditioning != "uncond", cell.settings.guidance


def _machine(cell: CellResult) -> str:
    environment = cell.manifest.environment
    if environment.device.startswith("cuda"):
        return environment.gpu
    return f"{environment.cpu}, threads: {environment.threads}"
