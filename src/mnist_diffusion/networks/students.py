"""The network of a student: its teacher's, told how strongly to guide itself."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from mnist_diffusion.networks import CLASSES
from mnist_diffusion.networks.blocks import timestep_embedding, zeroed
from mnist_diffusion.networks.unet import UNet

FINENESS = 100.0
"""Guidance scales are told as timesteps are, in hundredths."""


class GuidedUNet(UNet):
    """One call in place of two: guidance is an input (Meng et al. 2023, arXiv 2210.03142).

    It is asked by `told`, labels and scales. With a teacher's weights it begins as the teacher,
    unguided at every scale, for the layer that reads scales begins at zero.
    """

    def __init__(self, **sizes: Any):
        super().__init__(classes=CLASSES, **sizes)
        self.scale = zeroed(nn.Linear(self.embedding, self.embedding))

    def _wished(self, asked: Tensor) -> Tensor:
        labels, scales = asked.unbind(dim=1)
        told: Tensor = self.scale(timestep_embedding(FINENESS * scales, self.embedding))
        return super()._wished(labels.long()) + told


def told(labels: Tensor, scales: Tensor | float) -> Tensor:
    """What a student is asked: (n,) labels and guidance scales, or one for all → (n, 2) float32."""
    scales = torch.as_tensor(scales, dtype=torch.float32, device=labels.device)
    return torch.stack([labels.float(), scales.expand(len(labels))], dim=1)


STUDENTS: dict[str, Callable[..., nn.Module]] = {"guided-unet": GuidedUNet}
"""The students that a config may name, beside `denoisers.DENOISERS`."""
