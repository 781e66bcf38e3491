"""Claims of the training: what the network puts out, how the loss is weighted."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd

from mnist_diffusion.reporting.claims.claim import Claim, Datum, Outcome, Verdict
from mnist_diffusion.reporting.claims.contrast import Views, as_verdict, measured, versus, views
from mnist_diffusion.reporting.claims.select import changed
from mnist_diffusion.reporting.results import Results, RunResult
from mnist_diffusion.settings import P2

WARM = 0.2
"""The share of the training that is left out: warm-up and first descent."""
TREND = 7
"""Logged windows to a running median."""
DRAWS = 2000
"""Of the bootstrap."""


def jitter(run: RunResult) -> np.ndarray:
    """How far the log of the gradient's norm lies from its own trend, after the warm-up."""
    norms = np.log(run.history["gradient_norm"])
    residuals = norms - norms.rolling(TREND, center=True, min_periods=1).median()
    return np.asarray(residuals[int(WARM * len(norms)) :], dtype=np.float64)


def ratio_of_spreads(one: np.ndarray, other: np.ndarray) -> tuple[float, float, float]:
    """std(one) / std(other), and its 95 % interval by bootstrap over the logged windows."""
    random = np.random.default_rng(0)
    first = random.choice(one, (DRAWS, len(one))).std(axis=1)
    second = random.choice(other, (DRAWS, len(other))).std(axis=1)
    tiny = np.finfo(float).tiny
    low, high = np.quantile(first / np.maximum(second, tiny), [0.025, 0.975])
    return float(one.std() / max(other.std(), tiny)), float(low), float(high)


def _noise_or_image(results: Results) -> Outcome:
    noise, image = changed(results, "the network's output", "prediction", "epsilon", "x0")
    ratio, low, high = ratio_of_spreads(jitter(noise.run), jitter(image.run))
    quality = views(results, noise, image)
    data = [
        Datum("gradient jitter, ε over x₀", f"{ratio:.2f} ({low:.2f} to {high:.2f})", noise.name),
        *quality.data(),
        measured(noise),
        measured(image),
    ]
    steadier = "steadier" if high < 1 else "less steady" if low > 1 else "as steady"
    reason = (
        f"The gradient of the run that predicts ε is {steadier}, its images are, in relative FD, "
        f"{quality.told()}; both minimise the same ε-MSE."
    )
    return Outcome(_of_two(steadier, quality), reason, data)


def _of_two(steadier: str, quality: Views) -> Verdict:
    signs = {"steadier": 1, "better": 1, "less steady": -1, "worse": -1}
    seen = "worse" if quality.any_worse else quality.verdict
    both = [signs.get(steadier, 0), signs.get(seen, 0)]
    if both == [0, 0]:
        return Verdict.UNTESTED
    if min(both) >= 0:
        return Verdict.HOLDS if both[0] else Verdict.DEPENDS
    return Verdict.FAILS if max(both) <= 0 and both[0] else Verdict.DEPENDS


def _p2_improves(results: Results) -> Outcome:
    p2, plain = changed(results, "the loss", "weighting", "p2", "epsilon")
    quality, accuracy = views(results, p2, plain), versus(results, p2, plain, "accuracy")
    reason = (
        f"P2's relative FD against that of the plain loss: {quality.told()}; its accuracy: "
        f"{accuracy.verdict}. One training seed."
    )
    data = [*quality.data(), measured(p2), measured(plain), accuracy.datum()]
    return Outcome(as_verdict(quality.verdict), reason, data)


def p2_by_thirds(alpha_bar: pd.Series, weighting: P2) -> list[float]:
    """Mean weight of ε-MSE over thirds of the timesteps, in units of the mean of all."""
    kept = alpha_bar[alpha_bar < 1]
    weights = (weighting.k + kept / (1 - kept)) ** -weighting.gamma
    return [float(part.mean() / weights.mean()) for part in _thirds(weights)]


def _thirds(weights: pd.Series) -> list[pd.Series]:
    cuts = np.linspace(0, len(weights), 4).astype(int)
    return [weights.iloc[start:end] for start, end in pairwise(cuts)]


def _p2_middle(results: Results) -> Outcome:
    p2, _ = changed(results, "the loss", "weighting", "p2", "epsilon")
    thirds = p2_by_thirds(p2.run.schedule["alpha_bar"], results.settings.train.weightings.p2)
    names = ["least noisy third", "middle third", "noisiest third"]
    heaviest = names[int(np.argmax(thirds))]
    return Outcome(
        Verdict.HOLDS if heaviest == "middle third" else Verdict.FAILS,
        f"On the ε-MSE, P2 weighs the {heaviest} most: it takes weight from the least noisy "
        "timesteps and does not single out the middle.",
        [
            Datum(f"mean weight, {name}", f"{weight:.2f}", p2.name)
            for name, weight in zip(names, thirds, strict=True)
        ],
    )


CLAIMS = [
    Claim(
        "predict-noise",
        "Predicting the noise instead of the clean image gives more stable gradients.",
        "Reverse process",
        "Two runs that differ in the network's output alone, with the same loss, seed and data. "
        "Jitter is the spread of the log gradient norm about its running median after the first "
        "fifth of training, its ratio with a bootstrap interval over logged windows; the images "
        "are compared too, by both networks. It holds if ε is steadier and its images no worse.",
        _noise_or_image,
    ),
    Claim(
        "p2-improves",
        "P2 weighting significantly improves sample quality.",
        "Training loop",
        "Two runs that differ in the loss alone: relative FD by both networks, paired where it was "
        "computed. It holds if P2 is better by both, fails if it is worse by both.",
        _p2_improves,
    ),
    Claim(
        "p2-middle",
        "P2 emphasises the middle timesteps.",
        "Training loop",
        "The weight that P2 gives the ε-MSE under the schedule of its run, averaged over thirds of "
        "the timesteps; it holds if the middle third weighs most.",
        _p2_middle,
    ),
]
