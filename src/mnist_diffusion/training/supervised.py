"""One trainer for the classifier and the autoencoder: epochs of batches, AdamW, one cycle.

What differs is the loss, with the augmentation of its batch.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.judges import JUDGES
from mnist_diffusion.runtime.progress_bar import track
from mnist_diffusion.runtime.seeds import derive_seed, generator, seeded
from mnist_diffusion.settings import AutoencoderTraining, ClassifierTraining

BLACK = -1.0

Loss = Callable[[nn.Module, Tensor, Generator], Tensor]
"""Of a network on the images of these indices (batch,), with what is random in their epoch."""


@dataclass(frozen=True)
class Task:
    """What a network is trained for on `count` images."""

    network: str
    """Its name in `networks.judges.JUDGES`."""
    purpose: str
    """Of its seeds."""
    count: int
    loss: Loss
    recipe: ClassifierTraining | AutoencoderTraining

    @property
    def per_epoch(self) -> int:
        """Whole batches in an epoch."""
        return self.count // self.recipe.batch_size

    def fresh_network(self) -> nn.Module:
        """The network before training."""
        seed = derive_seed(self.recipe.seed, f"{self.purpose}/weights")
        return seeded(lambda: checkpoint.build(JUDGES, self.network, {}), seed)


def classification(
    images: Tensor, labels: Tensor, recipe: ClassifierTraining, device: torch.device
) -> Task:
    """Digits (n, 1, 28, 28) in [-1, 1], randomly shifted, scaled and sheared, to be named."""

    def loss(network: nn.Module, chosen: Tensor, randomness: Generator) -> Tensor:
        batch = distorted(images[chosen], recipe.augmentation, randomness)
        _, logits = network(batch.to(device))
        wanted = labels[chosen].to(device)
        return F.cross_entropy(logits, wanted, label_smoothing=recipe.label_smoothing)

    return Task("classifier", "classifier", len(images), loss, recipe)


def reconstruction(images: Tensor, recipe: AutoencoderTraining, device: torch.device) -> Task:
    """A digit's own pixels, (n, 1, 28, 28) in [-1, 1], seen through a hidden patch and noise."""

    def loss(network: nn.Module, chosen: Tensor, randomness: Generator) -> Tensor:
        clean = images[chosen]
        corrupted = corrupt(clean, recipe.mask, recipe.noise, randomness)
        _, restored = network(corrupted.to(device))
        return F.mse_loss(restored, clean.to(device))

    return Task("autoencoder", "extractor", len(images), loss, recipe)


def train(network: nn.Module, task: Task) -> Iterator[float]:
    """Train, yielding the loss after each batch."""
    recipe = task.recipe
    optimizer = AdamW(network.parameters(), weight_decay=recipe.weight_decay, fused=True)
    rate = OneCycleLR(optimizer, recipe.learning_rate, recipe.epochs * task.per_epoch)
    # Dropout draws from the global generator, which is why it is seeded here.
    with torch.random.fork_rng():
        torch.manual_seed(generator(recipe.seed, f"{task.purpose}/dropout").initial_seed())
        for epoch in range(recipe.epochs):
            network.train()
            randomness = generator(recipe.seed, f"{task.purpose}/epoch", epoch)
            order = torch.randperm(task.count, generator=randomness)
            for chosen in torch.split(order, recipe.batch_size)[: task.per_epoch]:
                loss = task.loss(network, chosen, randomness)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                rate.step()
                yield loss.item()


def train_epochs(network: nn.Module, task: Task, **scores: Callable[[], float]) -> pd.DataFrame:
    """Train under a progress bar: the loss of each epoch, and scores taken after it."""
    size = task.recipe.batch_size
    rows: list[dict[str, float]] = []
    losses: list[float] = []
    total = task.recipe.epochs * task.per_epoch
    batches = train(network, task)
    for loss in track(batches, total=total, description=task.network, unit="img", scale=size):
        losses.append(loss)
        if len(losses) == task.per_epoch:
            network.eval()
            found = {name: score() for name, score in scores.items()}
            rows.append({"epoch": len(rows) + 1, "loss": sum(losses) / len(losses), **found})
            losses.clear()
    return pd.DataFrame(rows, columns=["epoch", "loss", *scores])


def trained_classifier(
    images: Tensor, labels: Tensor, recipe: ClassifierTraining, device: torch.device
) -> nn.Module:
    """The classifier's architecture, trained from scratch on images (n, 1, 28, 28) in [-1, 1].

    Two sets of one size meet the same initial weights, orders and distortions. A set smaller than
    a batch is one batch.
    """
    size = min(recipe.batch_size, len(images))
    recipe = recipe.model_copy(update={"batch_size": size})
    task = classification(images, labels, recipe, device)
    network = task.fresh_network().to(device)
    train_epochs(network, task)
    return network.eval()


def distorted(images: Tensor, strength: float, randomness: Generator) -> Tensor:
    """Random affine maps, each coefficient within ±strength; (n, 1, h, w) in channels_last."""
    count = len(images)
    change = (torch.rand(count, 2, 3, generator=randomness) * 2 - 1) * strength
    maps = torch.eye(2, 3).expand(count, 2, 3) + change
    grid = F.affine_grid(maps, list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return moved.contiguous(memory_format=torch.channels_last)


def corrupt(images: Tensor, mask: int, noise: float, randomness: Generator) -> Tensor:
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
