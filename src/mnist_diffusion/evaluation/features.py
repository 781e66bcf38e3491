"""Images under both feature extractors: the classifier and the autoencoder."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mnist_diffusion.dataset.mnist import Digits
from mnist_diffusion.dataset.pixels import to_tensor
from mnist_diffusion.files import paths
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.fixed_batches import in_batches
from mnist_diffusion.networks.judges import JUDGES
from mnist_diffusion.provenance.digests import arrays_digest


@dataclass(frozen=True)
class Classification:
    """What the classifier makes of n images."""

    features: Tensor
    """(n, 128) float32, penultimate layer."""
    probabilities: Tensor
    """(n, 10) float32."""

    @property
    def seen(self) -> Tensor:
        """(n,) the likeliest digits."""
        return self.probabilities.argmax(dim=1)


@dataclass(frozen=True)
class JudgedSet(Classification):
    """A set of digits under both feature extractors."""

    second: Tensor
    """(n, 64) features of the autoencoder."""
    labels: Tensor
    """(n,) the digits asked for, -1 where none were."""

    def features_of(self, network: str) -> Tensor:
        """(n, d) of "classifier" or "autoencoder"."""
        return self.features if network == "classifier" else self.second

    @property
    def right(self) -> Tensor:
        """(n,) bool: the classifier sees the digit asked for."""
        return self.seen == self.labels

    @property
    def asked(self) -> bool:
        return bool((self.labels >= 0).all())


@dataclass(frozen=True)
class Extractors:
    """Both trained networks."""

    classifier: nn.Module
    autoencoder: nn.Module
    device: torch.device

    @classmethod
    def load(cls, device: torch.device) -> "Extractors":
        """From models/classifier and models/autoencoder."""
        classifier, _ = checkpoint.load(paths.CLASSIFIER, JUDGES)
        autoencoder, _ = checkpoint.load(paths.AUTOENCODER, JUDGES)
        return cls(classifier.to(device), autoencoder.to(device), device)

    def judge(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> JudgedSet:
        """Images (n, 28, 28) and the digits (n,) asked for."""
        pixels = to_tensor(images)
        found = classify(self.classifier, pixels, self.device)
        second = encode(self.autoencoder, pixels, self.device)
        return JudgedSet(found.features, found.probabilities, second, torch.from_numpy(labels))

    def digest(self, network: str) -> str:
        """Of the weights of "classifier" or "autoencoder"."""
        return arrays_digest(checkpoint.weights(getattr(self, network)))


def load_cell(cell: str) -> Digits:
    """A cell's images (n, 28, 28) and the digits (n,) asked for, -1 where none were."""
    parts = (paths.samples(cell) / f"{part}.npy" for part in Digits._fields)
    return Digits(*(np.load(path, allow_pickle=False) for path in parts))


def classify(classifier: nn.Module, images: Tensor, device: torch.device) -> Classification:
    """Run the classifier over images (n, 1, 28, 28) in [-1, 1]."""
    features, logits = in_batches(classifier, images, device)
    return Classification(features, logits.softmax(dim=1))


def encode(autoencoder: nn.Module, images: Tensor, device: torch.device) -> Tensor:
    """Features (n, 64) of images (n, 1, 28, 28) in [-1, 1]."""
    encoder = autoencoder.get_submodule("encoder")
    return in_batches(lambda batch: (encoder(batch),), images, device)[0]
