"""A trained network as the denoiser that samplers ask for."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mnist_diffusion.diffusion.guidance import Denoiser, clipped, guided
from mnist_diffusion.diffusion.predictions import PREDICTIONS, Prediction
from mnist_diffusion.diffusion.schedules import Level, Schedule

NO_LABEL = -1


@dataclass(frozen=True)
class TrainedDenoiser:
    """A network with the schedule and the prediction it was trained for."""

    network: nn.Module
    schedule: Schedule
    prediction: str
    device: torch.device

    def conditioned(self, labels: Tensor, guidance: float, *, clip_x0: bool) -> Denoiser:
        """A guided denoiser for images of these labels (n,); it computes in the images' dtype."""
        prediction = PREDICTIONS[self.prediction]
        labels = labels.to(self.device)
        denoise = guided(
            self._predict(prediction, labels),
            self._predict(prediction, torch.full_like(labels, NO_LABEL)),
            guidance,
        )
        return clipped(denoise) if clip_x0 else denoise

    def _predict(self, prediction: Prediction, labels: Tensor) -> Denoiser:
        def denoise(x: Tensor, at: Level) -> Tensor:
            x = x.contiguous(memory_format=torch.channels_last)
            output = self.network(x, at.t.to(self.device).expand(len(x)), labels)
            return prediction.to_x0(output, x, at)

        return denoise
