"""How a cell is drawn beyond sampler, steps and guidance scale, in words."""

from __future__ import annotations

from mnist_diffusion.settings import Choices, ResolvedCell


def is_guided(cell: ResolvedCell) -> bool:
    """Whether there is a guidance to confine or rescale: 0 and 1 call one denoiser alone."""
    return cell.guidance not in (0, 1)


def bound(name: str, quantile: float) -> str:
    """How x0 is held, with the quantile where there is one to know."""
    return f"dynamic {quantile:g}" if name == "dynamic" else name


def interval(choices: Choices) -> str:
    """The levels of sigma / alpha that are guided."""
    ends = choices.guidance_interval
    return "all" if ends is None else f"{ends[0]:g} to {ends[1]:g}"


def departures(cell: ResolvedCell, usual: Choices) -> str:
    """What a cell does otherwise than params.yaml's `sample` says for all; empty if nothing."""
    own, common = (_said(choices, is_guided(cell)) for choices in (cell, usual))
    return ", ".join(mine for mine, theirs in zip(own, common, strict=True) if mine != theirs)


def _said(choices: Choices, guided: bool) -> list[str]:
    held = bound(choices.x0_bound, choices.dynamic_quantile)
    always = [f"{choices.count:,} images", f"{choices.spacing} spacing", f"bound {held}"]
    confined = [
        f"guided at noise / signal {interval(choices)}",
        f"rescale {choices.guidance_rescale:g}",
    ]
    return always + confined if guided else always
