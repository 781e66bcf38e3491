"""Where a run's minimised loss lies: its share in each third of the timesteps, as measured."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from mnist_diffusion.diffusion.schedules import Schedule
from mnist_diffusion.diffusion.weightings import epsilon, weighting

WARM = 0.2
"""The share of the training that is left out: warm-up and first descent."""
BLOCKS = 6
"""Of consecutive windows."""


def loss_shares(
    measured: pd.DataFrame, betas: NDArray[np.float64], name: str, parameters: dict[str, Any]
) -> NDArray[np.float64]:
    """The share of each third, cleanest first, in each block of steps after the warm-up: (b, 3).

    measured: eps-MSE by `step`, `bin_start` and `bin_end`, as a run logs it in windows of steps.
    What is minimised is the weighting's multiple of it, be the network's output what it may.
    Neighbouring windows are of nearly the same weights, and drift together as those learn: the
    spread over long blocks has that in it (batch means: Schmeiser 1982), that over windows not. A
    bin that a window has not drawn takes no part in its block's mean.
    """
    schedule = Schedule(torch.from_numpy(betas))
    every = schedule.level(torch.arange(schedule.timesteps))
    factors = weighting(name, schedule, **parameters)(every) / epsilon(every)
    weights = torch.where(every.alpha > 0, factors, 0.0).numpy()
    thirds = np.arange(len(betas)) * 3 // len(betas)
    steps = measured["step"].unique()
    kept = steps[int(WARM * len(steps)) :]
    shares = []
    for block in np.array_split(kept, min(BLOCKS, len(kept))):
        losses = np.zeros(len(betas))
        seen = measured[measured["step"].isin(block)]
        bins = seen.groupby(["bin_start", "bin_end"], as_index=False)["loss"].mean()
        for start, end, loss in zip(bins["bin_start"], bins["bin_end"], bins["loss"], strict=True):
            losses[start:end] = loss
        minimised = np.bincount(thirds, losses * weights, minlength=3)
        shares.append(minimised / minimised.sum())
    return np.array(shares)
