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


def loss_shares(
    measured: pd.DataFrame, betas: NDArray[np.float64], name: str, parameters: dict[str, Any]
) -> NDArray[np.float64]:
    """The share of each third, cleanest first, in each logged window after the warm-up: (w, 3).

    measured: eps-MSE by `step`, `bin_start` and `bin_end`, as a run logs it. What is minimised is
    the weighting's multiple of it, be the network's output what it may.
    """
    schedule = Schedule(torch.from_numpy(betas))
    every = schedule.level(torch.arange(schedule.timesteps))
    factors = weighting(name, schedule, **parameters)(every) / epsilon(every)
    weights = torch.where(every.alpha > 0, factors, 0.0).numpy()
    thirds = np.arange(len(betas)) * 3 // len(betas)
    steps = measured["step"].unique()
    windows = []
    for step in steps[int(WARM * len(steps)) :]:
        losses = np.zeros(len(betas))
        for _, seen in measured[measured["step"] == step].iterrows():
            losses[int(seen["bin_start"]) : int(seen["bin_end"])] = seen["loss"]
        minimised = np.bincount(thirds, losses * weights, minlength=3)
        windows.append(minimised / minimised.sum())
    return np.array(windows)
