"""Digits put to use: a classifier trained on them from scratch."""

import torch
from torch import Tensor, nn

from mnist_diffusion.networks import checkpoint
from mnist_diffusion.runtime.progress_bar import track
from mnist_diffusion.runtime.seeds import derive_seed, seeded
from mnist_diffusion.settings import Classifier
from mnist_diffusion.training.classification import train_classifier


def trained_on(
    images: Tensor, labels: Tensor, recipe: Classifier, device: torch.device
) -> nn.Module:
    """The judge's architecture, trained on images (n, 1, 28, 28) in [-1, 1], ready to be tested.

    Two sets of one size meet the same initial weights, orders and distortions. A set smaller than
    a batch is one batch.
    """
    size = min(recipe.batch_size, len(images))
    recipe = recipe.model_copy(update={"batch_size": size})
    seed = derive_seed(recipe.seed, "classifier/weights")
    network = seeded(lambda: checkpoint.build("classifier", {}), seed).to(device)
    batches = train_classifier(network, images, labels, recipe, device)
    total = recipe.epochs * (len(images) // size)
    for _ in track(batches, total=total, description="classifier", unit="img", scale=size):
        pass
    return network.eval()
