"""What the classifier minimises, on digits that are randomly shifted, scaled and sheared."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from mnist_diffusion.runtime.seeds import generator
from mnist_diffusion.settings import Classifier


@dataclass(frozen=True)
class Batch:
    """One update of the classifier."""

    epoch: int
    loss: float


def train_classifier(
    network: nn.Module, images: Tensor, labels: Tensor, settings: Classifier, device: torch.device
) -> Iterator[Batch]:
    """Train on images (n, 1, 28, 28) in [-1, 1], yielding after each batch."""
    per_epoch = len(images) // settings.batch_size
    optimizer = AdamW(network.parameters(), weight_decay=settings.weight_decay, fused=True)
    rate = OneCycleLR(optimizer, settings.learning_rate, settings.epochs * per_epoch)
    # Dropout draws from the global generator, which is why it is seeded here.
    with torch.random.fork_rng():
        torch.manual_seed(generator(settings.seed, "classifier/dropout").initial_seed())
        for epoch in range(settings.epochs):
            network.train()
            randomness = generator(settings.seed, "classifier/epoch", epoch)
            order = torch.randperm(len(images), generator=randomness)
            for chosen in torch.split(order, settings.batch_size)[:per_epoch]:
                batch = distorted(images[chosen], settings.augmentation, randomness)
                _, logits = network(batch.to(device))
                loss = F.cross_entropy(
                    logits, labels[chosen].to(device), label_smoothing=settings.label_smoothing
                )
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                rate.step()
                yield Batch(epoch, loss.item())


def distorted(images: Tensor, strength: float, randomness: Generator) -> Tensor:
    """Random affine maps, each coefficient within ±strength; (n, 1, h, w) in channels_last."""
    count = len(images)
    change = (torch.rand(count, 2, 3, generator=randomness) * 2 - 1) * strength
    maps = torch.eye(2, 3).expand(count, 2, 3) + change
    grid = F.affine_grid(maps, list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return moved.contiguous(memory_format=torch.channels_last)
