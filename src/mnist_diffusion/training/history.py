"""What is kept of a training run: means over windows of steps, and the loss by noise level."""

from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from mnist_diffusion.training.loop import Step

BINS = 10
NUMBERS = ("step", "loss", "gradient_norm", "learning_rate")
"""What a step tells of the whole batch."""


class History:
    """Collects steps; a row of `rows` is the mean over `every` of them."""

    def __init__(self, timesteps: int, batch_size: int, every: int):
        self._timesteps, self._batch_size, self._every = timesteps, batch_size, every
        self._window: list[Step] = []
        self.rows: list[dict[str, float]] = []
        self._bins: list[dict[str, float]] = []

    def add(self, step: Step) -> None:
        """Take in one step; its details are (t, eps-MSE) per image."""
        self._window.append(step)
        if step.step % self._every == 0:
            self._close()

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Rows, and the steps of the window that is not full yet: their details, and the rest."""
        details = {str(step.step): step.details for step in self._window}
        window = [{name: getattr(step, name) for name in NUMBERS} for step in self._window]
        return details, {"rows": self.rows, "bins": self._bins, "window": window}

    def restore(self, details: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Go on from a `state`."""
        self.rows, self._bins = facts["rows"], facts["bins"]
        self._window = [Step(**n, details=details[str(n["step"])]) for n in facts["window"]]

    def write(self, folder: Path) -> None:
        """Write history.csv and loss_by_timestep.csv; a last, shorter window counts too."""
        if self._window:
            self._close()
        for name, rows in (("history", self.rows), ("loss_by_timestep", self._bins)):
            table = pd.DataFrame(rows)
            table.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")

    def _close(self) -> None:
        window, self._window = self._window, []
        last = window[-1]
        self.rows.append(
            {
                "step": last.step,
                "images": last.step * self._batch_size,
                "loss": sum(s.loss for s in window) / len(window),
                "gradient_norm": sum(s.gradient_norm for s in window) / len(window),
                "learning_rate": last.learning_rate,
            }
        )
        t, losses = torch.cat([s.details for s in window]).double().unbind(dim=1)
        bins = (t * BINS / self._timesteps).long()
        for b in torch.unique(bins).tolist():
            ends = (b * self._timesteps // BINS, (b + 1) * self._timesteps // BINS)
            row = {"step": last.step, "bin_start": ends[0], "bin_end": ends[1]}
            self._bins.append(row | {"loss": float(losses[bins == b].mean())})
