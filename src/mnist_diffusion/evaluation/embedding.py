"""Images through the second network, whose features are another space to measure in."""

import torch
from torch import Tensor

from mnist_diffusion.evaluation.features import BATCH
from mnist_diffusion.networks.extractor import Extractor


@torch.inference_mode()
def embed(extractor: Extractor, images: Tensor, device: torch.device) -> Tensor:
    """Features (n, 64) of images (n, 1, 28, 28) in [-1, 1], in batches of one fixed shape."""
    padded = torch.cat([images, torch.zeros(-len(images) % BATCH, *images.shape[1:])])
    parts = [
        extractor.encode(batch.contiguous(memory_format=torch.channels_last).to(device)).cpu()
        for batch in padded.split(BATCH)
    ]
    return torch.cat(parts)[: len(images)]
