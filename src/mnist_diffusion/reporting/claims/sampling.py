"""Claims of the sampling: fewer steps, other solvers, what they cost."""

from __future__ import annotations

import numpy as np

from mnist_diffusion.reporting.claims.claim import Claim, Datum, Outcome, Verdict, by_share
from mnist_diffusion.reporting.claims.contrast import (
    DISPUTED,
    Contrast,
    Views,
    agreed,
    by_each,
    measured,
    value,
    views,
)
from mnist_diffusion.reporting.claims.select import by_sampler
from mnist_diffusion.reporting.results import CellResult, Results
from mnist_diffusion.reporting.words import points

SOURCE_STEPS = 1000
MARGIN = 0.1
"""A loss of this share of the baseline's relative FD is little."""
CHEAP = 20
"""Times fewer network evaluations that would make the long way pointless."""


def _ancestral(results: Results) -> CellResult:
    what = f"DDPM in {SOURCE_STEPS:,} steps"
    return by_sampler(results, "ddpm", SOURCE_STEPS, SOURCE_STEPS, what)[0]


def _loss(seen: Views) -> str:
    """Whether a sampler loses little, much, or cannot be told; or networks that disagree."""
    return agreed(_lost(seen.judge), _lost(seen.second))


def _lost(contrast: Contrast) -> str:
    margin = MARGIN * value(contrast.baseline, contrast.metric)
    if contrast.high <= margin:
        return "little"
    return "more" if contrast.low > margin else "an unclear amount"


def _told(seen: Views) -> str:
    lost = _loss(seen)
    if lost == DISPUTED:
        lost = by_each(_lost(seen.judge), _lost(seen.second))
    return f"{seen.judge.cell.settings.steps} steps lose {lost}"


def _ddim(results: Results) -> Outcome:
    base = _ancestral(results)
    cells = by_sampler(results, "ddim", 20, 50, "DDIM in 20 to 50 steps")
    seen = [views(results, cell, base) for cell in cells]
    losses = [_loss(one) for one in seen]
    verdict = by_share(losses.count("little"), len(losses))
    if set(losses) == {"an unclear amount"}:
        verdict = Verdict.UNTESTED
    elif verdict is Verdict.FAILS and set(losses) != {"more"}:
        verdict = Verdict.DEPENDS
    margin = f"{points(MARGIN * base.metrics.relative_fd)} points"
    reason = f"{'; '.join(map(_told, seen))}. By the judge's features little is below {margin}."
    return Outcome(verdict, reason, [measured(base), *(one for v in seen for one in v.data())])


def _solver(results: Results) -> Outcome:
    slow = by_sampler(results, "ddim", 20, 50, "DDIM in 20 to 50 steps")
    fast = by_sampler(results, "dpm-solver-2", 1, 25, "DPM-Solver++(2M) in up to 25 steps")
    data, held = [], 0
    for cell in slow:
        halved = [c for c in fast if 2 * _cost(c) <= _cost(cell)]
        seen = [views(results, c, cell) for c in halved]
        held += any(not one.any_worse for one in seen)
        data += [datum for one in seen for datum in one.data()]
    reason = (
        f"For {held} of {len(slow)} step counts of DDIM, DPM-Solver++(2M) is no worse in at most "
        "half as many network evaluations, in the eyes of both networks."
    )
    return Outcome(by_share(held, len(slow)), reason, data)


def _passes(results: Results) -> Outcome:
    cell = _ancestral(results)
    cost = _cost(cell)
    data = [Datum("network evaluations an image", f"{cost:,}", cell.name), *_clock([cell])]
    reason = f"Counted while drawing: {cost:,} network evaluations an image."
    return Outcome(Verdict.HOLDS if cost == SOURCE_STEPS else Verdict.FAILS, reason, data)


def _too_slow(results: Results) -> Outcome:
    base = _ancestral(results)
    cheap = [c for c in results.chosen("samplers") if CHEAP * _cost(c) <= _cost(base)]
    seen = [views(results, cell, base) for cell in cheap]
    as_good = [one for one in seen if not one.any_worse]
    close = [one for one in seen if one not in as_good and _loss(one) != "more"]
    verdict = Verdict.HOLDS if as_good else Verdict.DEPENDS if close else Verdict.FAILS
    reason = (
        f"Of {len(seen)} ways to draw with at most 1/{CHEAP} of the network evaluations, "
        f"{len(as_good)} did no worse than DDPM in {SOURCE_STEPS:,} steps, in the eyes of both "
        "networks."
    )
    shown = sorted(seen, key=lambda one: one.judge.difference)[:3]
    cells = [base, *(one.judge.cell for one in shown)]
    data = [*(datum for one in shown for datum in one.data()), *_clock(cells)]
    return Outcome(verdict, reason, data)


def _cost(cell: CellResult) -> int:
    return cell.manifest.network_evaluations


def _clock(cells: list[CellResult]) -> list[Datum]:
    """Milliseconds an image, where the sidecar tells of these images."""
    return [
        Datum(f"ms an image, {c.name}", f"{1000 * c.seconds / c.metrics.n:,.1f}", c.name)
        for c in cells
        if c.seconds is not None
    ]


def settled(frames: np.ndarray, low: float, high: float) -> float:
    """Share of the way after which frequencies between two bounds look like the end's.

    frames: (steps + 1, k, 28, 28); cycles an image. Alike: a mean correlation of at least a half.
    """
    spectra = np.fft.fft2(frames.astype(np.float64) / 255)
    cycles = np.hypot(*np.meshgrid(*[np.fft.fftfreq(28, 1 / 28)] * 2))
    band = np.fft.ifft2(spectra * ((cycles > low) & (cycles <= high))).real
    flat = band.reshape(*band.shape[:2], -1)
    flat = flat / np.maximum(np.linalg.norm(flat, axis=2, keepdims=True), 1e-12)
    alike = (flat * flat[-1]).sum(axis=2).mean(axis=1)
    below = np.flatnonzero(alike < 0.5)
    return float((below[-1] + 1 if len(below) else 0) / (len(frames) - 1))


def _coarse_first(results: Results) -> Outcome:
    cell = results.headline
    frames = np.asarray(cell.trajectory)
    coarse, fine = settled(frames, 0, 3), settled(frames, 7, 20)
    return Outcome(
        Verdict.HOLDS if coarse < fine else Verdict.FAILS,
        f"In {frames.shape[1]} images the coarse shape settles after {100 * coarse:.0f} % of the "
        f"steps, the fine detail after {100 * fine:.0f} %.",
        [
            Datum("up to 3 cycles an image", f"{100 * coarse:.0f} % of the steps", cell.name),
            Datum("more than 7 cycles an image", f"{100 * fine:.0f} % of the steps", cell.name),
        ],
    )


CLAIMS = [
    Claim(
        "ddim",
        "DDIM can skip steps, to 20–50 of them, with minimal loss of quality.",
        "Sampling",
        f"DDIM cells of 20 to 50 steps against DDPM in {SOURCE_STEPS:,}, same run and noise. "
        "Little is lost if the whole interval of the difference is below "
        f"{100 * MARGIN:.0f} % of DDPM's relative FD. It holds if all lose little in the eyes of "
        "both networks, fails if all lose more.",
        _ddim,
    ),
    Claim(
        "higher-order",
        "DPM-Solver++ takes fewer steps: an ODE solver of higher order.",
        "Sampling",
        "DPM-Solver++(2M) with at most half the network evaluations of each DDIM cell of 20 to 50 "
        "steps; it holds if for each one is not worse in the eyes of either network.",
        _solver,
    ),
    Claim(
        "thousand-passes",
        "The standard DDPM sampler takes 1000 forward passes for an image.",
        "Sampling",
        "Network evaluations, counted while drawing.",
        _passes,
    ),
    Claim(
        "too-slow",
        "Nobody should ship the naive 1000-step sampler: it is painfully slow.",
        "Sampling",
        f"Every sampler with at most 1/{CHEAP} of its network evaluations is compared with it; it "
        "holds if one is no worse, and so the 1000 steps buy nothing.",
        _too_slow,
    ),
    Claim(
        "coarse-first",
        "Coarse structure appears first, fine details fill in during the last steps.",
        "Sampling",
        "The path of the headline's first images, split into coarse and fine frequencies: after "
        "which share of the steps each correlates by half or more with the finished image.",
        _coarse_first,
    ),
]
