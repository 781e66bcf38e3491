"""All that moves while a denoiser trains: taken, put back, and kept on disk as it goes on.

Randomness is not among it: every draw is derived from its step.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mnist_diffusion.diffusion.timesteps import TimestepSampler
from mnist_diffusion.runtime.resumption import Resumption, State
from mnist_diffusion.training.ema import ExponentialAverage
from mnist_diffusion.training.history import History
from mnist_diffusion.training.loop import Step
from mnist_diffusion.training.snapshots import Snapshots

SAVE_EVERY_SECONDS = 15.0
SAVE_SHARE = 0.02
"""Of the time of training, at the most, that goes into saving, however large the network."""


@dataclass(frozen=True)
class Training:
    """A denoiser and what trains it."""

    network: nn.Module
    optimizers: list[Optimizer]
    average: ExponentialAverage
    timesteps: TimestepSampler
    history: History
    snapshots: Snapshots

    def state(self, step: int) -> State:
        """Everything as it is after `step` steps."""
        details, history = self.history.state()
        tensors = {
            **_named("network", self.network.state_dict()),
            **_named("average", self.average.state()),
            **_named("timesteps", self.timesteps.state()),
            **_named("history", details),
            **_named("snapshots", self.snapshots.state()),
        }
        for name, state, parameter in self._slots():
            tensors |= _named(name, state.get(parameter, {}))
        return tensors, {"step": step, "history": history}

    def restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> int:
        """Put a `state` back; how many steps were done."""
        self.network.load_state_dict(_within("network", tensors))
        self.average.restore(_within("average", tensors))
        self.timesteps.restore(_within("timesteps", tensors))
        self.history.restore(_within("history", tensors), facts["history"])
        self.snapshots.restore(_within("snapshots", tensors))
        for name, state, parameter in self._slots():
            values = _within(name, tensors)
            state[parameter] = {key: _laid_out_like(parameter, t) for key, t in values.items()}
        return int(facts["step"])

    def _slots(self) -> Iterator[tuple[str, dict[Tensor, dict[str, Tensor]], Tensor]]:
        """What each optimiser remembers, by parameter."""
        for number, optimizer in enumerate(self.optimizers):
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            for index, parameter in enumerate(parameters):
                yield f"optimizer.{number}.{index}", optimizer.state, parameter


def recorded(steps: Iterable[Step], training: Training, resumption: Resumption) -> Iterator[Step]:
    """Pass steps on, once history and snapshots have them; now and then the state is saved."""
    due = time.monotonic() + SAVE_EVERY_SECONDS
    for step in steps:
        training.history.add(step)
        training.snapshots.take(step.step)
        start = time.monotonic()
        if start >= due:
            resumption.save(*training.state(step.step))
            saved = time.monotonic()
            due = saved + max(SAVE_EVERY_SECONDS, (saved - start) / SAVE_SHARE)
        yield step


def _laid_out_like(parameter: Tensor, value: Tensor) -> Tensor:
    """A copy in the parameter's memory format: another one would be added up in another order."""
    pattern = parameter if parameter.shape == value.shape else value
    return torch.empty_like(pattern, device=parameter.device, requires_grad=False).copy_(value)


def _named(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def _within(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    start = f"{prefix}."
    return {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}
