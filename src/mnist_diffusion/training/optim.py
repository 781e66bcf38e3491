"""What updates weights: Muon (Jordan et al. 2024), and the averaged weights that are drawn from.

torch.optim.Muon takes matrices only and works in bfloat16, which is slow on CPUs; this one flattens
kernels to matrices and stays in float32. A test compares the two on a matrix.
"""

from collections import deque
from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mnist_diffusion.runtime.threads import parallel_map

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration, tuned for slope at zero (Jordan et al. 2024)."""


def orthogonalise(matrix: Tensor, iterations: int = 5) -> Tensor:
    """Push all singular values of a matrix towards 1, keeping its singular vectors."""
    a, b, c = NEWTON_SCHULZ
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = wide / (wide.norm() + 1e-7)
    for _ in range(iterations):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    result: Tensor = x.T if matrix.shape[0] > matrix.shape[1] else x
    return result


class Muon(Optimizer):
    """Steps of equal size in every direction of a weight; for 2 or 4 dimensions."""

    def __init__(self, parameters: Iterable[Tensor], lr: float, momentum: float = 0.95):
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update with Nesterov momentum, scaled by sqrt(max(1, rows / columns))."""
        for group in self.param_groups:
            learned = [p for p in group["params"] if p.grad is not None]
            update = partial(self._update, lr=group["lr"], momentum=group["momentum"])
            deque(parallel_map(update, learned, group["params"][0].device), maxlen=0)

    @torch.no_grad()
    def _update(self, parameter: Tensor, *, lr: float, momentum: float) -> None:
        gradient = parameter.grad
        assert gradient is not None
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(gradient, 1 - momentum)
        direction = torch.lerp(gradient, state["momentum"], momentum).flatten(1)
        rows, columns = direction.shape
        scale = max(1.0, rows / columns) ** 0.5
        parameter.add_(orthogonalise(direction).view_as(parameter), alpha=-lr * scale)


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
