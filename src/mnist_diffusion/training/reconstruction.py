"""What the autoencoder minimises: a digit's own pixels, seen through a hidden patch and noise."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from mnist_diffusion.runtime.seeds import generator
from mnist_diffusion.settings import Autoencoder

BLACK = -1.0


@dataclass(frozen=True)
class Batch:
    """One update of the autoencoder."""

    epoch: int
    loss: float


def train_autoencoder(
    network: nn.Module, images: Tensor, settings: Autoencoder, device: torch.device
) -> Iterator[Batch]:
    """Train on images (n, 1, 28, 28) in [-1, 1], yielding after each batch."""
    per_epoch = len(images) // settings.batch_size
    optimizer = AdamW(network.parameters(), weight_decay=settings.weight_decay, fused=True)
    rate = OneCycleLR(optimizer, settings.learning_rate, settings.epochs * per_epoch)
    for epoch in range(settings.epochs):
        network.train()
        randomness = generator(settings.seed, "extractor/epoch", epoch)
        order = torch.randperm(len(images), generator=randomness)
        for chosen in torch.split(order, settings.batch_size)[:per_epoch]:
            clean = images[chosen]
            spoilt = spoiled(clean, settings.mask, settings.noise, randomness)
            _, restored = network(spoilt.to(device))
            loss = F.mse_loss(restored, clean.to(device))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            rate.step()
            yield Batch(epoch, loss.item())


def spoiled(images: Tensor, mask: int, noise: float, randomness: Generator) -> Tensor:
    """Images with normal noise of deviation `noise`, then a black square of side `mask` anywhere.

    Denoising (Vincent et al. 2008) and inpainting (Pathak et al. 2016) in one; channels_last.
    """
    count, _, height, width = images.shape
    noisy = images + noise * torch.randn(images.shape, generator=randomness)
    rows = _span(count, height, mask, randomness)[:, None, :, None]
    columns = _span(count, width, mask, randomness)[:, None, None, :]
    return noisy.masked_fill(rows & columns, BLACK).contiguous(memory_format=torch.channels_last)


def _span(count: int, length: int, extent: int, randomness: Generator) -> Tensor:
    """(count, length) bool, true over `extent` places from a random one on."""
    start = torch.randint(length - extent + 1, (count, 1), generator=randomness)
    place = torch.arange(length)
    return (place >= start) & (place < start + extent)
