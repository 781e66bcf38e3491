"""Muon for convolutions (Jordan et al. 2024): momentum, orthogonalised.

torch.optim.Muon takes matrices only and works in bfloat16, which is slow on CPUs; this one flattens
kernels to matrices and stays in float32. A test compares the two on a matrix.
"""

from collections import deque
from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor
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
