"""What is so by construction, checked all the same: schedules, counted calls, arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Betas = Mapping[str, NDArray[np.float64]]
"""By run, (T,)."""
Facts = dict[str, bool]
"""Whether what the words say is so."""
EXACT = 1e-12
"""What float64 loses over a thousand products is well below; a wrong formula is far above."""
DESTROYED = 0.01
"""A share of the signal that counts as none."""
TYPICAL = (1e-4, 0.02)
"""The betas that the source calls typical, for 1,000 timesteps."""


@dataclass(frozen=True)
class Drawn:
    """How a cell came about."""

    sampler: str
    steps: int
    guidance: float
    conditioning: str
    evaluations: int
    """Of the network, an image, counted while drawing."""
    asked: bool
    """Whether digits were asked for, by the labels on disk."""

    @property
    def calls(self) -> float:
        """Of the network, a step."""
        return self.evaluations / self.steps


def closed_form(betas: Betas, drawn: Mapping[str, Drawn]) -> Facts:
    """Moments carried link by link against the closed form's, of every run's own betas."""
    worst = max(chain_deviation(own) for own in betas.values())
    return {f"chain and closed form agree to {EXACT:.0e} in {len(betas)} runs": worst < EXACT}


def chain_deviation(betas: NDArray[np.float64]) -> float:
    """Largest gap, over all t, between moments carried link by link and the closed form's.

    A link makes x_t of sqrt(1 - beta_t) x_(t-1) and noise of variance beta_t.
    """
    scale, variance, worst = 1.0, 0.0, 0.0
    for beta, alpha_bar in zip(betas, np.cumprod(1 - betas), strict=True):
        scale *= np.sqrt(1 - beta)
        variance = (1 - beta) * variance + beta
        gaps = abs(scale - np.sqrt(alpha_bar)), abs(variance - (1 - alpha_bar))
        worst = max(worst, *map(float, gaps))
    return worst


def destroyed(betas: Betas, drawn: Mapping[str, Drawn]) -> Facts:
    """The signal left after the first timestep and at the last."""
    left = {run: float(np.sqrt(np.prod(1 - own))) for run, own in betas.items()}
    worst = max(left, key=left.__getitem__)
    first = min(float(np.sqrt(1 - own[0])) for own in betas.values())
    return {
        f"at least {first:.4f} of the signal is left after the first step": first > 1 - DESTROYED,
        f"at most {left[worst]:.2g} at T, in {worst}": left[worst] < DESTROYED,
    }


def typical_betas(betas: Betas, drawn: Mapping[str, Drawn]) -> Facts:
    """The range of betas, each array of them once."""
    facts: Facts = {}
    seen: set[bytes] = set()
    for run, own in betas.items():
        if own.tobytes() in seen:
            continue
        seen.add(own.tobytes())
        low, high = (bound * 1000 / len(own) for bound in TYPICAL)
        inside = low * (1 - EXACT) <= own.min() and own.max() <= high * (1 + EXACT)
        facts[f"{run}: {own.min():.2g} to {own.max():.2g}"] = bool(inside)
    return facts


def last_step(betas: Betas, drawn: Mapping[str, Drawn]) -> Facts:
    """The posterior's variance at the first timestep, beta_t (1 - abar_(t-1)) / (1 - abar_t)."""
    before = 1.0  # nothing is lost of a clean image
    spreads = [own[0] * (1 - before) / own[0] for own in betas.values()]
    return {"the last step of DDPM adds no noise": all(spread == 0 for spread in spreads)}


def passes(betas: Betas, drawn: Mapping[str, Drawn]) -> Facts:
    """Network evaluations of ancestral cells that are not guided, a step."""
    cells = {n: d for n, d in drawn.items() if d.sampler == "ddpm" and d.guidance in (0, 1)}
    return {f"{n}: {d.evaluations:,} in {d.steps:,} steps": d.calls == 1 for n, d in cells.items()}


def ends(betas: Betas, drawn: Mapping[str, Drawn]) -> Facts:
    """Labels and calls at s = 0 and s = 1."""
    cells = {n: d for n, d in drawn.items() if d.conditioning == "class" and d.sampler != "heun"}
    none = [d for d in cells.values() if d.guidance == 0]
    plain = [d for d in cells.values() if d.guidance == 1]
    return {
        f"s = 0 asks for no digit, in {len(none)} cells": not any(d.asked for d in none),
        f"s = 1 asks, in {len(plain)} cells": all(d.asked for d in plain),
        "both call one network a step": all(d.calls == 1 for d in [*none, *plain]),
    }


def twice(betas: Betas, drawn: Mapping[str, Drawn]) -> Facts:
    """Calls a step of guided cells that guide at every level."""
    cells = [d for d in drawn.values() if d.guidance not in (0, 1) and d.sampler != "heun"]
    whole = [d for d in cells if d.calls >= 2]
    part = len(cells) - len(whole)
    words = f"two calls a step in {len(whole)} guided cells, fewer in {part} guided at some levels"
    return {words: all(d.calls == 2 for d in whole) and bool(whole)}


def latent_values(betas: Betas, drawn: Mapping[str, Drawn]) -> Facts:
    """The source's arithmetic: 512 × 512 in three colours, and 64 × 64 in four channels."""
    pixels, latents = 512 * 512 * 3, 64 * 64 * 4
    return {f"{pixels / latents:g} times fewer values, said to be 192": pixels == 192 * latents}


IDENTITIES: dict[str, Callable[[Betas, Mapping[str, Drawn]], Facts]] = {
    "closed-form": closed_form,
    "destroyed": destroyed,
    "typical-betas": typical_betas,
    "last-step": last_step,
    "passes": passes,
    "ends": ends,
    "twice": twice,
    "latent-values": latent_values,
}
