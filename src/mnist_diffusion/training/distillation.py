"""What a student minimises: how far off it is, from any point of a path, at that path's end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mnist_diffusion.diffusion.predictions import Prediction
from mnist_diffusion.diffusion.schedules import Schedule
from mnist_diffusion.training.epochs import Epochs, Streams

DETAILS = ("timestep", "error")
"""What `Distillation` measures of each image."""


@dataclass(frozen=True)
class Lessons:
    """Paths of a teacher: where each is at a few timesteps, and where it ends."""

    states: Tensor
    """(n, points, c, h, w), the starting noise first."""
    ends: Tensor
    """(n, c, h, w)."""
    told: Tensor
    """(n, …) what the student is asked."""
    timesteps: Sequence[int]
    """Of the points."""


class Distillation:
    """A batch and its loss for any step: the mean absolute error of the predicted end.

    Of ends from which no noise is left the median is no blur as the mean is, which squares ask for:
    from pure noise, the distance of digits is a third lower (docs/distillation.md). Every draw
    comes from a stream named after its purpose and step.
    """

    def __init__(
        self,
        lessons: Lessons,
        schedule: Schedule,
        prediction: Prediction,
        *,
        batch_size: int,
        from_noise: float,
        seed: int,
        device: torch.device,
    ):
        """`from_noise`: how often it is the first point; the others are as likely as each other."""
        self._lessons, self._schedule, self._prediction = lessons, schedule, prediction
        others = len(lessons.timesteps) - 1
        self._chances = torch.tensor([from_noise, *[(1 - from_noise) / others] * others])
        self._stream = Streams("distill", seed)
        self._epochs = Epochs(len(lessons.ends), batch_size, self._stream)
        self._device = device

    def __call__(self, network: Callable[..., Tensor], step: int) -> tuple[Tensor, Tensor]:
        """The loss of a step, and (t, error) of each image: shape (batch, 2), on the CPU."""
        chosen, randomness = self._epochs(step), self._stream("points", step)
        point = torch.multinomial(self._chances, len(chosen), True, generator=randomness)
        x = self._lessons.states[chosen, point].to(self._device)
        at = self._schedule.level(torch.tensor(self._lessons.timesteps)[point].view(-1, 1, 1, 1))
        told = self._lessons.told[chosen].to(self._device)
        output = network(x, at.t.flatten().to(self._device), told)
        x0 = self._prediction.to_x0(output, x, at)
        ends = self._lessons.ends[chosen].to(self._device)
        errors = (x0 - ends).abs().mean(dim=(1, 2, 3))
        details = torch.stack([at.t.flatten().float(), errors.detach().cpu()], dim=1)
        return errors.mean(), details
