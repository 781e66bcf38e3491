"""Images through the second network, whose features are another space to measure in."""

import torch
from torch import Tensor

from mnist_diffusion.evaluation.features import BATCH
from mnist_diffusion.networks.autoencoder import Autoencoder
from mnist_diffusion.runtime.threads import parallel_map


def embed(autoencoder: Autoencoder, images: Tensor, device: torch.device) -> Tensor:
    """Features (n, 64) of images (n, 1, 28, 28) in [-1, 1], in batches of one fixed shape."""

    @torch.inference_mode()
    def run(batch: Tensor) -> Tensor:
        batch = batch.contiguous(memory_format=torch.channels_last)
        return autoencoder.encode(batch.to(device)).cpu()

    padded = torch.cat([images, torch.zeros(-len(images) % BATCH, *images.shape[1:])])
    return torch.cat(list(parallel_map(run, padded.split(BATCH), device)))[: len(images)]
