"""What the report calls things, and how it writes numbers."""

from __future__ import annotations

from collections.abc import Sequence

from mnist_diffusion.reporting.results import CellResult
from mnist_diffusion.settings import Choices, ResolvedCell

TABLE_TITLES = {
    "schedules": "Noise schedules and conditioning",
    "ablations": "Training choices",
    "samplers": "Samplers and steps",
    "guidance": "Guidance",
    "choices": "Sampling choices",
    "spaces": "Pixels, latents and words",
    "students": "Few steps",
}
"""By params.yaml's tables, in reading order."""
SAMPLERS = {
    "ddpm": "DDPM",
    "ddpm-large": "DDPM, large variance",
    "ddim": "DDIM",
    "dpm-solver-1": "DPM-Solver++(1)",
    "dpm-solver-2": "DPM-Solver++(2M)",
    "dpm-solver-3": "DPM-Solver++(3M)",
    "heun": "Heun in log-SNR",
    "consistency": "consistency, distilled",
}
LOSSES = {"epsilon": "ε-MSE", "x0": "x₀-MSE", "v": "v-MSE", "p2": "P2", "min-snr": "min-SNR"}
"""By `weighting`: the mean squared error that the training minimises."""
OUTPUTS = {"epsilon": "ε", "x0": "x₀", "v": "v"}
"""By `prediction`: what the network puts out."""
GUIDES = {
    "label": "",
    "snapshot": "snapshot {}",
    "snapshot-unlabelled": "unlabelled snapshot {}",
}
"""By `guide`, with a place for which snapshot it is."""
TRAINING_CHOICES = {
    "zero_terminal_snr": "terminal SNR",
    "prediction": "network output",
    "weighting": "loss",
    "timestep_sampling": "timesteps",
    "asked": "what it is asked by",
    "seed": "training seed",
}
"""What a training choice is called, where its key is not the word."""


def condition(cell: CellResult) -> str:
    """What a cell is asked for, and how strongly."""
    if cell.run.settings.conditioning == "uncond":
        return f"unconditional, {strength(cell)}" if guide(cell.settings) else "unconditional"
    if cell.run.settings.conditioning == "text":
        return f"asked in words, {strength(cell)}"
    return f"class-conditional, {strength(cell)}"


def strength(cell: CellResult) -> str:
    """How strongly a cell is guided, and by which snapshot if by one."""
    by = guide(cell.settings)
    return f"s = {cell.settings.guidance:g}" + (f" by {by}" if by else "")


def drawing(cell: CellResult) -> str:
    """How a cell is drawn, but for the lesser choices: spacing, bound and the like."""
    steps = f"{cell.settings.steps} steps of {SAMPLERS[cell.settings.sampler]}"
    return f"{steps}, {condition(cell)}"


def is_guided(cell: ResolvedCell) -> bool:
    """Whether there is a guidance to confine or rescale: 0 and 1 call one denoiser alone."""
    return cell.guidance not in (0, 1)


def guide(cell: ResolvedCell) -> str:
    """The snapshot that guides a cell; empty where its own network does, or nothing."""
    return GUIDES[cell.guide].format(cell.guide_snapshot) if is_guided(cell) else ""


def bound(choices: Choices) -> str:
    """How x0 is held, with the quantile where there is one to know."""
    dynamic = choices.x0_bound == "dynamic"
    return f"dynamic {choices.dynamic_quantile:g}" if dynamic else choices.x0_bound


def guided_at(choices: Choices) -> str:
    """The levels of sigma / alpha that are guided."""
    ends = choices.guidance_interval
    return "all" if ends is None else f"{ends[0]:g} to {ends[1]:g}"


def departures(cell: ResolvedCell, usual: Choices) -> str:
    """What a cell does otherwise than params.yaml's `sample` says for all; empty if nothing."""
    own, common = (_lesser_choices(choices, is_guided(cell)) for choices in (cell, usual))
    return ", ".join(mine for mine, theirs in zip(own, common, strict=True) if mine != theirs)


def _lesser_choices(choices: Choices, guided: bool) -> list[str]:
    always = [
        *(f"{choices.count:,} images", f"{choices.spacing} spacing", f"bound {bound(choices)}"),
        *(f"prompts {choices.prompts}", f"{choices.inpaint} half drawn"),
    ]
    confined = [
        f"guided at noise / signal {guided_at(choices)}",
        f"rescale {choices.guidance_rescale:g}",
    ]
    return always + confined if guided else always


def percent(share: float) -> str:
    """A fraction in per cent: two digits where they matter, one near 100."""
    digits = 2 if share < 0.5 else 1
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def points(share: float) -> str:
    """A fraction as a number of per cents, in three digits that matter."""
    return f"{100 * share:.{2 if abs(share) < 0.1 else 1}f}"


def signed_points(share: float) -> str:
    """A difference of fractions in points of a per cent, with its sign."""
    text = points(abs(share))
    return text if not float(text) else f"{'−' if share < 0 else '+'}{text}"


def ends_text(interval: Sequence[float]) -> str:
    """An interval of fractions, in per cent."""
    low, high = interval
    return f"{points(low)} to {points(high)}"
