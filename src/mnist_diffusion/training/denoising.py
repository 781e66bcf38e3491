"""What a denoiser minimises: a weighted mean squared error, however the output is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mnist_diffusion.diffusion.forward import add_noise
from mnist_diffusion.diffusion.predictions import PREDICTIONS
from mnist_diffusion.diffusion.schedules import Level, Schedule
from mnist_diffusion.diffusion.timesteps import TIMESTEP_SAMPLERS
from mnist_diffusion.diffusion.weightings import epsilon, weighting
from mnist_diffusion.settings import ResolvedRun
from mnist_diffusion.training.asking import Asking
from mnist_diffusion.training.epochs import Epochs, Streams
from mnist_diffusion.training.examples import Examples


class Denoising:
    """A batch and its loss for any step, from the step's number and what the losses taught so far.

    Every draw comes from a stream named after its purpose and step: runs that share a seed see the
    same images, timesteps and noise, and a run that goes on later needs no generator state, only
    that of `timesteps`.
    """

    def __init__(
        self,
        examples: Examples,
        asking: Asking,
        resolved: ResolvedRun,
        schedule: Schedule,
        device: torch.device,
    ):
        """Examples and what is asked for stay on the CPU."""
        run, train = resolved.run, resolved.train
        self._examples, self._asking = examples, asking
        self._stream = Streams("train", run.seed)
        self._schedule, self._device = schedule, device
        self._batch_size = resolved.recipe.batch_size
        self._dropout = 1.0 if run.conditioning == "uncond" else train.label_dropout
        self._prediction = PREDICTIONS[run.prediction]
        parameters: dict[str, Any] = train.weighting
        self._weighting = weighting(run.weighting, schedule, **parameters)
        sampler = TIMESTEP_SAMPLERS[run.timestep_sampling]
        self.timesteps = sampler(schedule, **train.timestep_sampling)
        self._epochs = Epochs(len(examples), self._batch_size, self._stream)

    def __call__(self, network: Callable[..., Tensor], step: int) -> tuple[Tensor, Tensor]:
        """The loss of a step, and (t, eps-MSE) of each image: shape (batch, 2), on the CPU."""
        x0, asked = self.batch(step)
        t, unbias = self.timesteps.draw(self._batch_size, self._stream("timesteps", step))
        noise = torch.randn(x0.shape, generator=self._stream("noise", step))
        at = self._schedule.level(t.view(-1, 1, 1, 1))
        error = self._velocity_error(network, x0, noise, at, asked)
        losses = error * self._column(self._weighting(at))
        self.timesteps.observe(t, losses.detach().cpu())
        epsilon_error = error.detach().cpu() * epsilon(at).flatten().float()
        details = torch.stack([t.float(), epsilon_error], dim=1)
        return (losses * self._column(unbias)).mean(), details

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """x0 (batch, c, h, w) and what is asked for, (batch, …), nothing where it is dropped."""
        chosen = self._epochs(step)
        dropped = torch.rand(len(chosen), generator=self._stream("labels", step)) < self._dropout
        x0 = self._examples(chosen, self._stream("posterior", step))
        asked = self._asking(chosen, self._stream, step)
        dropped = dropped.view(-1, *[1] * (asked.ndim - 1))
        return x0, asked.masked_fill(dropped, self._asking.nothing)

    def _velocity_error(
        self,
        network: Callable[..., Tensor],
        x0: Tensor,
        noise: Tensor,
        at: Level,
        asked: Tensor,
    ) -> Tensor:
        """The mean squared error of v for each image, whatever the network puts out; (batch,)."""
        x_t = add_noise(x0, noise, at).to(self._device)
        target = self._prediction.target(x0, noise, at).to(self._device)
        output = network(x_t, at.t.flatten().to(self._device), asked.to(self._device))
        error = (output - target).square().mean(dim=(1, 2, 3))
        return error * self._column(self._prediction.velocity_factor(at) ** 2)

    def _column(self, factor: Tensor) -> Tensor:
        return factor.flatten().float().to(self._device)
