"""Averaged weights: what samples are drawn from."""

import torch
from torch import Tensor, nn


class ExponentialAverage:
    """EMA of a network's parameters, with warm-up so that early weights are soon forgotten.

    After update n the decay is min(decay, (1 + n) / (10 + n)), as in Polyak averaging of
    TensorFlow's ExponentialMovingAverage; decay 0 keeps the newest weights.
    """

    def __init__(self, network: nn.Module, decay: float):
        self._live = [p.detach() for p in network.parameters()]
        self._average = [p.clone() for p in self._live]
        self._decay = decay
        self._updates = 0

    def update(self) -> None:
        """Take in the network's present weights."""
        self._updates += 1
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        torch._foreach_lerp_(self._average, self._live, 1 - decay)

    @torch.no_grad()
    def copy_to(self, network: nn.Module) -> None:
        """Put the averaged weights into a network of the same architecture."""
        for parameter, average in zip(network.parameters(), self._average, strict=True):
            parameter.copy_(average)

    def copies(self) -> list[Tensor]:
        """The averaged parameters as they are now, contiguous, in the network's order."""
        return [a.clone(memory_format=torch.contiguous_format) for a in self._average]

    def state(self) -> dict[str, Tensor]:
        """The averaged parameters by place in the network, and the number of updates."""
        averages = {str(index): average for index, average in enumerate(self._average)}
        return {"updates": torch.tensor(self._updates), **averages}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from a `state`."""
        self._updates = int(state["updates"])
        for index, average in enumerate(self._average):
            average.copy_(state[str(index)])
