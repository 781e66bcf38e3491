"""All that moves while a denoiser trains: taken, put back, and kept on disk as it goes on.

Randomness is not among it: every draw is derived from its step.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from mnist_diffusion.diffusion.timesteps import TimestepSampler
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.runtime.resumption import State
from mnist_diffusion.training.learner import Learner, named, within
from mnist_diffusion.training.loop import Step
from mnist_diffusion.training.optim import ExponentialAverage

BINS = 10
NUMBERS = ("step", "loss", "gradient_norm", "learning_rate")
"""Of a step's whole batch."""


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


class Snapshots:
    """Keeps the averaged weights after some steps of a run, evenly spread, the last among them."""

    def __init__(self, network: nn.Module, average: ExponentialAverage, steps: int, count: int):
        self._names = [name for name, _ in network.named_parameters()]
        self._average = average
        self._due = {round(steps * k / count) for k in range(1, count + 1)}
        self.kept: dict[str, Tensor] = {}
        """By step and parameter, such as "500.stem.weight"."""

    def take(self, step: int) -> None:
        """Keep the weights, if this is one of the steps."""
        if step in self._due:
            copies = (average.cpu() for average in self._average.copies())
            self.kept |= named(str(step), dict(zip(self._names, copies, strict=True)))

    def write(self, folder: Path) -> None:
        """Write snapshots/<step>.safetensors, each with all parameters of the network."""
        target = folder / checkpoint.SNAPSHOTS
        target.mkdir(parents=True, exist_ok=True)
        for step in {key.partition(".")[0] for key in self.kept}:
            save_file(within(step, self.kept), target / f"{step}.safetensors")


@dataclass(frozen=True)
class RunState:
    """A denoiser and what trains it."""

    learner: Learner
    timesteps: TimestepSampler
    history: History
    snapshots: Snapshots

    def record(self, step: Step) -> None:
        """Take a step into the history, and a snapshot if one is due."""
        self.history.add(step)
        self.snapshots.take(step.step)

    def state(self, step: int) -> State:
        """Everything as it is after `step` steps."""
        details, history = self.history.state()
        tensors = {
            **self.learner.state(),
            **named("timesteps", self.timesteps.state()),
            **named("history", details),
            **named("snapshots", self.snapshots.kept),
        }
        return tensors, {"step": step, "history": history}

    def restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> int:
        """Put a `state` back; how many steps were done."""
        self.learner.restore(tensors)
        self.timesteps.restore(within("timesteps", tensors))
        self.history.restore(within("history", tensors), facts["history"])
        self.snapshots.kept = within("snapshots", tensors)
        return int(facts["step"])
