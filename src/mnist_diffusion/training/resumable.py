"""Training that keeps no more than its losses: the codecs' and the encoders'."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from torch import Tensor, nn

from mnist_diffusion.runtime.progress_bar import track
from mnist_diffusion.runtime.resumption import Resumption, State
from mnist_diffusion.settings import Recipe
from mnist_diffusion.training.learner import Learner, with_checkpoints
from mnist_diffusion.training.loop import Objective, Step, build_optimizers, fit
from mnist_diffusion.training.optim import ExponentialAverage

NUMBERS = ("step", "loss", "gradient_norm", "learning_rate")


@dataclass(frozen=True)
class LossRecord:
    """A network in training, and a row of numbers for each of its steps."""

    learner: Learner
    details: Sequence[str]
    """What the objective measures of each image, in its order."""
    rows: list[dict[str, float]] = field(default_factory=list)

    def record(self, step: Step) -> None:
        """Take in one step, its details by their means."""
        means = step.details.double().mean(dim=0).tolist()
        numbers = {name: getattr(step, name) for name in NUMBERS}
        self.rows.append(numbers | dict(zip(self.details, means, strict=True)))

    def state(self, step: int) -> State:
        """Everything as it is after `step` steps."""
        return self.learner.state(), {"step": step, "rows": self.rows}

    def restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> int:
        """Put a `state` back; how many steps were done."""
        self.learner.restore(tensors)
        self.rows[:] = facts["rows"]
        return int(facts["step"])

    def history(self, every: int) -> pd.DataFrame:
        """Means over `every` steps, at the last of them, with the learning rate there."""
        table = pd.DataFrame(self.rows)
        windows = table.groupby((table.index // every).to_numpy())
        means = windows.mean()
        for name in ("step", "learning_rate"):
            means[name] = windows[name].last()
        return means


def train_resumably(
    network: nn.Module,
    objective: Objective,
    recipe: Recipe,
    details: Sequence[str],
    resumption: Resumption,
) -> LossRecord:
    """Train under a progress bar, on from what a killed run has kept.

    The network is left with its averaged weights, ready for use.
    """
    average = ExponentialAverage(network, recipe.ema)
    optimizers = build_optimizers(network, recipe)
    training = LossRecord(Learner(network, optimizers, average), details)
    kept = resumption.load()
    start = training.restore(*kept) if kept else 0
    if start:
        sys.stderr.write(f"resuming {resumption.address} at step {start}\n")
    steps = fit(network, objective, recipe, average, optimizers, start)
    for _ in track(
        with_checkpoints(steps, training, resumption),
        total=recipe.steps,
        description=resumption.address,
        unit="img",
        scale=recipe.batch_size,
        done=start,
    ):
        pass
    average.copy_to(network)
    network.eval().requires_grad_(False)
    return training
