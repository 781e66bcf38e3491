"""Rules for claims of the forward process and of training."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mnist_diffusion.provenance.schemas.cell_reports import FdCurveReport
from mnist_diffusion.reporting.claims import (
    DISPUTED,
    ClaimOutcome,
    Datum,
    UntestableError,
    Verdict,
    Views,
    by_conditions,
    by_share,
    changed,
    measured,
    versus,
    views,
)
from mnist_diffusion.reporting.frames import differing
from mnist_diffusion.reporting.labels import condition, points
from mnist_diffusion.reporting.results import (
    Cells,
    Results,
    RunResult,
    grouped,
    lowest,
    one_run_per_schedule,
)
from mnist_diffusion.settings import P2

EXACT = 1e-12
"""What float64 loses over a thousand products is well below; a wrong formula is far above."""
DESTROYED = 0.01
"""Signal left at T that counts as none."""
WARM = 0.2
"""The share of the training that is left out: warm-up and first descent."""
TREND = 7
"""Logged windows to a running median."""
DRAWS = 2000
"""Of the bootstrap."""
LEAST_SAVING = 0.2
THIRDS = ("least noisy third", "middle third", "noisiest third")


def closed_form(results: Results) -> ClaimOutcome:
    """Moments carried link by link against the closed form's, of every run's own betas."""
    runs = results.runs.values()
    chain = max(chain_deviation(run.betas) for run in runs)
    trained = max(
        float(np.max(np.abs(np.cumprod(1 - run.betas) - run.schedule["alpha_bar"]))) for run in runs
    )
    data = [
        Datum("largest deviation of the chain's moments", f"{chain:.2g}"),
        Datum("largest deviation of the ᾱ that was trained with", f"{trained:.2g}"),
    ]
    words = f"chain and closed form agree to {EXACT:.0e} over {len(runs)} runs"
    return by_conditions({words: max(chain, trained) < EXACT}, data)


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


def signal_destroyed(results: Results) -> ClaimOutcome:
    """The signal left at the last timestep of each schedule."""
    runs = one_run_per_schedule(results)
    left = {name: float(np.sqrt(run.schedule["alpha_bar"].iloc[-1])) for name, run in runs.items()}
    data = [Datum(f"√ᾱ at T, {name}", f"{signal:.2g}") for name, signal in left.items()]
    words = {f"gone under {n}": signal < DESTROYED for n, signal in left.items()}
    return by_conditions(words, data)


def predict_noise(results: Results) -> ClaimOutcome:
    """Jitter of the gradient, and the images, of two runs that differ in the output alone."""
    noise, image = changed(results, "prediction", "epsilon", ["x0"])
    ratio, low, high = ratio_of_spreads(jitter(noise.run), jitter(image.run))
    steadier = "steadier" if high < 1 else "less steady" if low > 1 else "as steady"
    quality = views(results, noise, image)
    data = [
        Datum("gradient jitter, ε over x₀", f"{ratio:.2f} ({low:.2f} to {high:.2f})", noise.name),
        *quality.data(),
        measured(noise),
        measured(image),
    ]
    reason = f"With ε the gradient is {steadier}; the images are {quality.words}."
    return ClaimOutcome(_of_two(steadier, quality), reason, data)


def _of_two(steadier: str, quality: Views) -> Verdict:
    signs = {"steadier": 1, "better": 1, "less steady": -1, "worse": -1}
    seen = "worse" if quality.any_worse else quality.verdict
    both = [signs.get(steadier, 0), signs.get(seen, 0)]
    if both == [0, 0]:
        return Verdict.UNTESTED
    if min(both) >= 0:
        return Verdict.HOLDS if both[0] else Verdict.DEPENDS
    return Verdict.FAILS if max(both) <= 0 and both[0] else Verdict.DEPENDS


def jitter(run: RunResult) -> NDArray[np.float64]:
    """How far the log of the gradient's norm lies from its own trend, after the warm-up."""
    norms = np.log(run.history["gradient_norm"])
    residuals = norms - norms.rolling(TREND, center=True, min_periods=1).median()
    return np.asarray(residuals[int(WARM * len(norms)) :], dtype=np.float64)


def ratio_of_spreads(
    one: NDArray[np.float64], other: NDArray[np.float64]
) -> tuple[float, float, float]:
    """std(one) / std(other), and its 95 % interval by bootstrap over the logged windows."""
    random = np.random.default_rng(0)
    first = random.choice(one, (DRAWS, len(one))).std(axis=1)
    second = random.choice(other, (DRAWS, len(other))).std(axis=1)
    tiny = np.finfo(float).tiny
    low, high = np.quantile(first / np.maximum(second, tiny), [0.025, 0.975])
    return float(one.std() / max(other.std(), tiny)), float(low), float(high)


def importance_sampling(results: Results) -> ClaimOutcome:
    """Images to each FD that the plain run newly reached in the later half of its training."""
    cell, rival = changed(results, "timestep_sampling", "importance", ["uniform", "stratified"])
    mine, theirs = (results.fd_curves[one.run.name] for one in (cell, rival))
    found = savings(mine, theirs)
    if not found:
        raise UntestableError(f"{rival.run.name} reached no new FD in the later half of training")
    usual = rival.run.settings.timestep_sampling
    least = f"{100 * LEAST_SAVING:.0f} % saved"
    conditions = {
        f"{least} at FD {points(target)} %": (_share(usually, needed) or 0) >= LEAST_SAVING
        for target, usually, needed in found
    }
    data = [_saving(*one, cell.name) for one in found]
    note = f"Against {usual} draws; {mine.count:,} images a point, no interval, one seed."
    return by_conditions(conditions, [*data, *views(results, cell, rival).data()], note)


def savings(mine: FdCurveReport, theirs: FdCurveReport) -> list[tuple[float, int, float | None]]:
    """(FD, their images, mine or None) for FDs that they newly reached in their later half."""
    half = theirs.points[-1].images / 2
    reached = [
        min(p.relative_fd for p in theirs.points[: k + 1]) for k in range(len(theirs.points))
    ]
    return [
        (point.relative_fd, point.images, images_to(mine, point.relative_fd))
        for point, best in zip(theirs.points, reached, strict=True)
        if point.images >= half and point.relative_fd == best
    ]


def images_to(curve: FdCurveReport, target: float) -> float | None:
    """Images until a relative FD is first reached, log-linear between evaluations."""
    images = [point.images for point in curve.points]
    logs = [np.log(point.relative_fd) for point in curve.points]
    wanted = np.log(target)
    if logs[0] <= wanted:
        return float(images[0])
    for k in range(1, len(logs)):
        if logs[k] <= wanted:
            share = (logs[k - 1] - wanted) / (logs[k - 1] - logs[k])
            return float(images[k - 1] + share * (images[k] - images[k - 1]))
    return None


def _share(usually: int, needed: float | None) -> float | None:
    """Saved of the other's images; negative if more are needed, None if it never got there."""
    return None if needed is None else 1 - needed / usually


def _saving(target: float, usually: int, needed: float | None, cell: str) -> Datum:
    share, mine = _share(usually, needed), "not reached" if needed is None else f"{needed:,.0f}"
    saved = "" if share is None else f": {100 * share:.0f} % saved"
    label = f"images to relative FD {points(target)} %"
    return Datum(label, f"{mine} against {usually:,}{saved}", cell)


def p2_improves(results: Results) -> ClaimOutcome:
    """Two runs that differ in the loss alone."""
    p2, plain = changed(results, "weighting", "p2", ["epsilon"])
    quality, accuracy = views(results, p2, plain), versus(results, p2, plain, "accuracy")
    verdicts = {"better": Verdict.HOLDS, "worse": Verdict.FAILS, DISPUTED: Verdict.DEPENDS}
    reason = f"Relative FD: {quality.words}; accuracy: {accuracy.verdict}. One training seed."
    data = [*quality.data(), measured(p2), measured(plain), accuracy.datum()]
    return ClaimOutcome(verdicts.get(quality.verdict, Verdict.UNTESTED), reason, data)


def p2_middle(results: Results) -> ClaimOutcome:
    """Where P2 puts the weight of the ε-MSE under its run's schedule."""
    p2, _ = changed(results, "weighting", "p2", ["epsilon"])
    thirds = p2_by_thirds(p2.run.schedule["alpha_bar"], results.settings.train.weightings.p2)
    data = [
        Datum(f"mean weight, {name}", f"{weight:.2f}", p2.name)
        for name, weight in zip(THIRDS, thirds, strict=True)
    ]
    heaviest = THIRDS[int(np.argmax(thirds))]
    conditions = {"the middle third weighs most": heaviest == THIRDS[1]}
    return by_conditions(conditions, data, f"Most weight has the {heaviest}.")


def p2_by_thirds(alpha_bar: pd.Series, weighting: P2) -> list[float]:
    """Mean weight of ε-MSE over thirds of the timesteps, in units of the mean of all."""
    kept = alpha_bar[alpha_bar < 1]
    weights = (weighting.k + kept / (1 - kept)) ** -weighting.gamma
    cuts = np.linspace(0, len(weights), 4).astype(int)
    parts = [weights.iloc[start:end] for start, end in pairwise(cuts)]
    return [float(part.mean() / weights.mean()) for part in parts]


def schedules_differ(results: Results) -> ClaimOutcome:
    """The lowest against each other, where runs differ in the schedule alone."""
    cells = sorted(
        results.chosen("schedules"),
        key=lambda cell: (cell.run.settings.conditioning != "uncond", cell.settings.guidance),
    )
    alike = {name: comparable(own) for name, own in grouped(cells, condition).items()}
    groups = {name: own for name, own in alike.items() if len(own) > 1}
    if not groups:
        raise UntestableError("no two runs that differ in the schedule alone are declared")
    seen = {
        name: [views(results, lowest(own), cell) for cell in own if cell is not lowest(own)]
        for name, own in groups.items()
    }
    clear = sum(all(one.verdict == "better" for one in own) for own in seen.values())
    any_clear = any(one.classifier.verdict == "better" for own in seen.values() for one in own)
    verdict = by_share(clear, len(groups)) if any_clear else Verdict.UNTESTED
    verdict = Verdict.DEPENDS if verdict is Verdict.FAILS else verdict
    listed = "; ".join(f"{name}: {_winner(groups[name], own)}" for name, own in seen.items())
    data = [
        datum
        for name, own in seen.items()
        for datum in (
            measured(lowest(groups[name]), label=f"{name}: lowest"),
            *(one for contrast in own for one in contrast.data()),
        )
    ]
    return ClaimOutcome(verdict, f"{listed}. One training seed a row.", data)


def comparable(cells: Cells) -> Cells:
    """The largest set of cells whose runs differ in the schedule alone."""
    sets = [
        [one, *(o for o in cells if differing(one.run, o.run) == ["schedule"])] for one in cells
    ]
    return max(sets, key=len)


def _winner(cells: Cells, seen: list[Views]) -> str:
    schedule = lowest(cells).run.settings.schedule
    if all(one.verdict == "better" for one in seen):
        return f"{schedule} is best under both feature extractors"
    if all(one.classifier.verdict == "better" for one in seen):
        return f"{schedule} is best by the classifier's features, not clearly by the autoencoder's"
    return f"{schedule} is lowest, but not clear of all others"
