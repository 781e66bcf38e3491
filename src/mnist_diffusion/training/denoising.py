"""What a denoiser minimises: MSE on the predicted noise, however the output is read."""

import torch
from torch import Tensor, nn

from mnist_diffusion.diffusion.forward import add_noise
from mnist_diffusion.diffusion.predictions import PREDICTIONS
from mnist_diffusion.diffusion.schedules import Schedule
from mnist_diffusion.diffusion.timesteps import TIMESTEP_SAMPLERS
from mnist_diffusion.diffusion.weightings import WEIGHTINGS
from mnist_diffusion.randomness import generator
from mnist_diffusion.settings import Run


class Denoising:
    """A batch and its loss for any step, from the step's number alone.

    Every draw comes from a stream named after its purpose and step: runs that share a seed see the
    same images, timesteps and noise, and a resumed run needs no generator state.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        run: Run,
        schedule: Schedule,
        *,
        batch_size: int,
        label_dropout: float,
        device: torch.device,
    ):
        """`images` (n, 28, 28) uint8; `labels` (n,) int64; both stay on the CPU."""
        self._images, self._labels, self._run = images, labels, run
        self._schedule, self._batch_size, self._device = schedule, batch_size, device
        self._dropout = 1.0 if run.conditioning == "uncond" else label_dropout
        self._prediction = PREDICTIONS[run.prediction]
        self._weighting = WEIGHTINGS[run.weighting]
        self._draw_timesteps = TIMESTEP_SAMPLERS[run.timestep_sampling]

    def __call__(self, network: nn.Module, step: int) -> tuple[Tensor, Tensor]:
        """The loss of a step, and (t, eps-MSE) of each image: shape (batch, 2), on the CPU."""
        x0, labels = self.batch(step)
        count, timesteps = self._batch_size, self._schedule.timesteps
        t = self._draw_timesteps(count, timesteps, self._stream("timesteps", step))
        noise = torch.randn(x0.shape, generator=self._stream("noise", step))
        at = self._schedule.level(t.view(-1, 1, 1, 1))
        target = self._prediction.target(x0, noise, at)
        x_t = add_noise(x0, noise, at).to(self._device)
        output = network(x_t, t.to(self._device), labels.to(self._device))
        error = (output - target.to(self._device)).square().mean(dim=(1, 2, 3))
        # Errors of the output become errors of epsilon: the weighting alone says what counts.
        epsilon_error = error * self._column(self._prediction.epsilon_factor(at) ** 2)
        loss = (epsilon_error * self._column(self._weighting(at))).mean()
        return loss, torch.stack([t.float(), epsilon_error.detach().cpu()], dim=1)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Images (batch, 1, 28, 28) in [-1, 1] and labels, dropped ones as -1.

        The images of a step are a stretch of its epoch's permutation; stretches are whole.
        """
        per_epoch = len(self._images) // self._batch_size
        epoch, position = divmod(step, per_epoch)
        order = torch.randperm(len(self._images), generator=self._stream("order", epoch))
        chosen = order[position * self._batch_size :][: self._batch_size]
        dropped = torch.rand(len(chosen), generator=self._stream("labels", step)) < self._dropout
        images = self._images[chosen].float()[:, None] / 127.5 - 1
        return images, self._labels[chosen].masked_fill(dropped, -1)

    def _stream(self, purpose: str, index: int) -> torch.Generator:
        return generator(self._run.seed, f"train/{purpose}", index)

    def _column(self, factor: Tensor) -> Tensor:
        return factor.flatten().float().to(self._device)
