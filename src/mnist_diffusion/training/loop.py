"""The training loop: it yields what happened; the caller decides what to do with that."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import Recipe
from mnist_diffusion.training.data_parallel import data_parallel
from mnist_diffusion.training.optim import ExponentialAverage, Muon

OUTER_LAYERS = ("stem.", "out.", "label.", "wish.")
"""Where Muon does not belong: the first and last layers and embeddings (Jordan et al. 2024)."""


@dataclass(frozen=True)
class Step:
    """One update of the weights."""

    step: int
    """Counted from 1."""
    loss: float
    gradient_norm: float
    """Before clipping."""
    learning_rate: float
    details: Tensor
    """What the objective measured of each image of the batch."""


Objective = Callable[[Callable[..., Tensor], int], tuple[Tensor, Tensor]]
"""(network, step counted from 0) → the loss to minimise, and details per image of the batch."""


def fit(
    network: nn.Module,
    objective: Objective,
    recipe: Recipe,
    average: ExponentialAverage,
    optimizers: Sequence[Optimizer] | None = None,
    start: int = 0,
) -> Iterator[Step]:
    """Train up to recipe.steps updates, yielding after each; UserError if one is not finite.

    To go on, give `build_optimizers` with what they had learned, and how many steps were done.
    """
    optimizers = optimizers or build_optimizers(network, recipe)
    base_rates = [group["lr"] for o in optimizers for group in o.param_groups]
    limit = recipe.gradient_clip or math.inf
    network.train()
    shared = data_parallel(network, recipe.parts)
    for step in range(start, recipe.steps):
        factor = rate_factor(step, recipe)
        groups = (group for o in optimizers for group in o.param_groups)
        for group, base in zip(groups, base_rates, strict=True):
            group["lr"] = base * factor
        loss, details = objective(shared, step)
        _require_finite("loss", loss, step)
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(network.parameters(), limit)
        _require_finite("gradient", norm, step)
        for optimizer in optimizers:
            optimizer.step()
        average.update()
        yield Step(step + 1, loss.item(), norm.item(), recipe.learning_rate * factor, details)


def _require_finite(name: str, value: Tensor, step: int) -> None:
    if not math.isfinite(value.item()):
        raise UserError(f"training: the {name} is {value.item()} at step {step}; lower the rate")


def build_optimizers(network: nn.Module, recipe: Recipe) -> list[Optimizer]:
    """Adam for everything, or Muon for the inner weight matrices and Adam for the rest."""
    if recipe.muon_learning_rate is None:
        return [Adam(network.parameters(), lr=recipe.learning_rate, fused=True)]
    inner = {
        name: p
        for name, p in network.named_parameters()
        if p.ndim >= 2 and not name.startswith(OUTER_LAYERS)
    }
    rest = [p for name, p in network.named_parameters() if name not in inner]
    return [
        Muon(inner.values(), lr=recipe.muon_learning_rate),
        Adam(rest, lr=recipe.learning_rate, fused=True),
    ]


def rate_factor(step: int, recipe: Recipe) -> float:
    """The learning rate at a step as a fraction of its peak: linear warm-up, then the decay."""
    progress = step / recipe.steps
    warm = min(1.0, (step + 1) / max(1.0, recipe.warmup * recipe.steps))
    decay = 0.5 * (1 + math.cos(math.pi * progress)) if recipe.decay == "cosine" else 1.0
    return warm * decay
