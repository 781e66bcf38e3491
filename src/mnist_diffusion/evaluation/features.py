"""Images through the judge: features, and the digit it sees in them."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mnist_diffusion.runtime.threads import parallel_map

BATCH = 500


@dataclass(frozen=True)
class Judgement:
    """What the classifier says of n images."""

    features: Tensor
    """(n, 128) float32, penultimate layer."""
    probabilities: Tensor
    """(n, 10) float32."""


def judge(classifier: nn.Module, images: Tensor, device: torch.device) -> Judgement:
    """Run the classifier over images (n, 1, 28, 28) in [-1, 1], in batches of one fixed shape."""

    @torch.inference_mode()
    def run(batch: Tensor) -> tuple[Tensor, Tensor]:
        features, logits = classifier(_padded(batch).to(device))
        return features[: len(batch)].cpu(), logits[: len(batch)].cpu()

    results = parallel_map(run, torch.split(images, BATCH), device)
    features, logits = (torch.cat(parts) for parts in zip(*results, strict=True))
    return Judgement(features, logits.softmax(dim=1))


def _padded(batch: Tensor) -> Tensor:
    padding = torch.zeros(BATCH - len(batch), *batch.shape[1:])
    return torch.cat([batch, padding]).contiguous(memory_format=torch.channels_last)
