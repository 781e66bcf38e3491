"""Claims of the forward process: the closed form, and what is left of a digit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mnist_diffusion.reporting.claims.claim import Claim, Datum, Outcome, Verdict, by_share
from mnist_diffusion.reporting.curves import one_run_per_schedule
from mnist_diffusion.reporting.results import Results

EXACT = 1e-12
"""What float64 loses over a thousand products is well below; a wrong formula is far above."""
DESTROYED = 0.01
"""Signal left at T that counts as none."""


def chain_deviation(betas: NDArray[np.float64]) -> float:
    """Largest gap, over all t, between moments carried link by link and the closed form's.

    A link makes x_t of sqrt(1 - beta_t) x_(t-1) and noise of variance beta_t.
    """
    scales, variances = np.empty_like(betas), np.empty_like(betas)
    scale, variance = 1.0, 0.0
    for t, beta in enumerate(betas):
        scale *= np.sqrt(1 - beta)
        variance = (1 - beta) * variance + beta
        scales[t], variances[t] = scale, variance
    alphas_bar = np.cumprod(1 - betas)
    gaps = np.abs(scales - np.sqrt(alphas_bar)), np.abs(variances - (1 - alphas_bar))
    return float(np.max(gaps))


def _closed_form(results: Results) -> Outcome:
    deviations = {name: chain_deviation(run.betas) for name, run in results.runs.items()}
    published = max(
        float(np.max(np.abs(np.cumprod(1 - run.betas) - run.schedule["alpha_bar"])))
        for run in results.runs.values()
    )
    largest = max(*deviations.values(), published)
    steps = max(len(run.betas) for run in results.runs.values())
    return Outcome(
        Verdict.HOLDS if largest < EXACT else Verdict.FAILS,
        f"Over {len(deviations)} runs of up to {steps:,} links, mean and variance of the chain "
        "agree with the closed form to the last digits of float64.",
        [
            Datum("largest deviation of the chain's moments", f"{max(deviations.values()):.2g}"),
            Datum("largest deviation of the ᾱ that was trained with", f"{published:.2g}"),
        ],
    )


def _destroyed(results: Results) -> Outcome:
    runs = one_run_per_schedule(results)
    left = {name: float(np.sqrt(run.schedule["alpha_bar"].iloc[-1])) for name, run in runs.items()}
    gone = [name for name, signal in left.items() if signal < DESTROYED]
    kept = [name for name in left if name not in gone]
    reason = f"Less than 1 % of the signal is left under {', '.join(gone) or 'no schedule'}"
    reason += f"; more under {', '.join(kept)}." if kept else "."
    data = [Datum(f"√ᾱ at T, {name}", f"{signal:.2g}") for name, signal in left.items()]
    return Outcome(by_share(len(gone), len(left)), reason, data)


CLAIMS = [
    Claim(
        "closed-form",
        "We can jump to any timestep in closed form, instead of running all T steps.",
        "Forward diffusion",
        "Mean and variance of q(xₜ | x₀) are carried through every link of the chain, from the "
        "betas each run was trained with, and compared with √ᾱ and 1 − ᾱ; it holds below "
        f"{EXACT:.0e}. The test suite has the same proof (tests/unit/test_forward.py).",
        _closed_form,
    ),
    Claim(
        "signal-destroyed",
        "Over many steps the signal is completely destroyed: ᾱ decays to nearly 0.",
        "Forward diffusion",
        f"The signal √ᾱ left at the last timestep of each schedule; none is left below "
        f"{DESTROYED:g}.",
        _destroyed,
    ),
]
