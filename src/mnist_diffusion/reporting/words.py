"""What the report calls things, where params.yaml has a shorter name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mnist_diffusion.reporting.results import CellResult, RunResult

COMPARISONS = {
    "schedules": "Noise schedules and conditioning",
    "ablations": "Training choices",
    "samplers": "Samplers and steps",
    "guidance": "Guidance",
    "choices": "Sampling choices",
}
"""By params.yaml's `report.<table>`, in reading order."""
SAMPLERS = {
    "ddpm": "DDPM",
    "ddpm-large": "DDPM, large variance",
    "ddim": "DDIM",
    "dpm-solver-1": "DPM-Solver++(1)",
    "dpm-solver-2": "DPM-Solver++(2M)",
    "dpm-solver-3": "DPM-Solver++(3M)",
    "heun": "Heun in log-SNR",
}
LOSSES = {"epsilon": "ε-MSE", "v": "v-MSE", "p2": "P2", "min-snr": "min-SNR"}
"""By `weighting`: the mean squared error that the training minimises."""
METRICS = {
    "fd": "FD",
    "relative_fd": "relative FD",
    "second_relative_fd": "relative FD, second autoencoder",
    "kid": "KID",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
    "accuracy": "accuracy",
    "confidence": "confidence",
    "memorisation": "nearest training digit",
}
OUTPUTS = {"epsilon": "ε", "x0": "x₀", "v": "v"}
"""By `prediction`: what the network puts out."""


def schedule(run: RunResult) -> str:
    """A schedule's name; one that is brought down to no signal at all is another schedule."""
    ending = ", zero SNR" if run.settings.zero_terminal_snr else ""
    return f"{run.settings.schedule}{ending}"


def percent(share: float) -> str:
    """A fraction in per cent: two digits where they matter, one near 100."""
    digits = 2 if share < 0.5 else 1
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def one_of(numbers: Iterable[int]) -> str:
    """All different numbers, as in "500 or 2,000"."""
    return " or ".join(f"{number:,}" for number in sorted(set(numbers)))


def points(share: float) -> str:
    """A fraction as a number of per cents, in three digits that matter."""
    return f"{100 * share:.{2 if abs(share) < 0.1 else 1}f}"


def signed_points(share: float) -> str:
    """A difference of fractions in points of a per cent, with its sign."""
    text = points(abs(share))
    return text if not float(text) else f"{'−' if share < 0 else '+'}{text}"


def spread(interval: Sequence[float]) -> str:
    """An interval of fractions, in per cent."""
    low, high = interval
    return f"{points(low)} to {points(high)}"


def count(n: int) -> str:
    """How many images a number is about."""
    return f"n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{n:,}"


def machines(cells: Iterable[CellResult]) -> str:
    """Where the cells with a timing were drawn; empty if there are none."""
    names = dict.fromkeys(_machine(cell) for cell in cells if cell.seconds is not None)
    return "; ".join(names)


def _machine(cell: CellResult) -> str:
    environment = cell.manifest.environment
    if environment.device.startswith("cuda"):
        return environment.gpu
    return f"{environment.cpu}, threads: {cell.threads}" if cell.threads else environment.cpu
