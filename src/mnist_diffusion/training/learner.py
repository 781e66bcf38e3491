"""A network with what trains it, taken and put back bit for bit, and kept on disk as it goes on."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mnist_diffusion.runtime.resumption import Resumption, State
from mnist_diffusion.training.loop import Step
from mnist_diffusion.training.optim import ExponentialAverage

SAVE_EVERY_SECONDS = 15.0
SAVE_SHARE = 0.02
"""Of the time of training, at the most, that goes into saving, however large the network."""


@dataclass(frozen=True)
class Learner:
    """All that an update of the weights reads and writes."""

    network: nn.Module
    optimizers: list[Optimizer]
    average: ExponentialAverage

    def state(self) -> dict[str, Tensor]:
        """Weights, their averages, and what each optimiser remembers."""
        tensors = {
            **named("network", self.network.state_dict()),
            **named("average", self.average.state()),
        }
        for name, state, parameter in self._slots():
            tensors |= named(name, state.get(parameter, {}))
        return tensors

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Put a `state` back; other tensors may be among them."""
        self.network.load_state_dict(within("network", tensors))
        self.average.restore(within("average", tensors))
        for name, state, parameter in self._slots():
            values = within(name, tensors)
            state[parameter] = {key: _laid_out_like(parameter, t) for key, t in values.items()}

    def _slots(self) -> Iterator[tuple[str, dict[Tensor, dict[str, Tensor]], Tensor]]:
        """What each optimiser remembers, by parameter."""
        for number, optimizer in enumerate(self.optimizers):
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            for index, parameter in enumerate(parameters):
                yield f"optimizer.{number}.{index}", optimizer.state, parameter


class Recording(Protocol):
    """What takes in steps, and can say all that is to be kept after one."""

    def record(self, step: Step) -> None: ...

    def state(self, step: int) -> State: ...


def with_checkpoints(
    steps: Iterable[Step], training: Recording, resumption: Resumption
) -> Iterator[Step]:
    """Pass steps on, once they are on record; now and then the state is saved."""
    due = time.monotonic() + SAVE_EVERY_SECONDS
    for step in steps:
        training.record(step)
        start = time.monotonic()
        if start >= due:
            resumption.save(*training.state(step.step))
            saved = time.monotonic()
            due = saved + max(SAVE_EVERY_SECONDS, (saved - start) / SAVE_SHARE)
        yield step


def named(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under names that begin with a prefix and a dot."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def within(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `named`, out of tensors of many prefixes."""
    start = f"{prefix}."
    return {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}


def _laid_out_like(parameter: Tensor, value: Tensor) -> Tensor:
    """A copy in the parameter's memory format: another one would be added up in another order."""
    pattern = parameter if parameter.shape == value.shape else value
    return torch.empty_like(pattern, device=parameter.device, requires_grad=False).copy_(value)
