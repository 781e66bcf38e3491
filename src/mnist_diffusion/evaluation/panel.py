"""All metrics at once, on digits that are known only by their pixels and labels."""

from dataclasses import dataclass

import torch
from torch import nn

from mnist_diffusion.dataset.scaling import to_tensor
from mnist_diffusion.evaluation.corruptions import Pool
from mnist_diffusion.evaluation.embedding import embed
from mnist_diffusion.evaluation.features import judge
from mnist_diffusion.evaluation.real import Real
from mnist_diffusion.evaluation.scores import distances, scores
from mnist_diffusion.networks.autoencoder import Autoencoder


@dataclass(frozen=True)
class Panel:
    """The judge and the second network."""

    classifier: nn.Module
    autoencoder: Autoencoder
    device: torch.device

    def scores(self, digits: Pool, real: Real, second: Real) -> dict[str, float]:
        """Of digits, against real ones in the eyes of each network."""
        images, labels = to_tensor(digits.images), torch.from_numpy(digits.labels)
        judged = judge(self.classifier, images, self.device)
        embedded = embed(self.autoencoder, images, self.device)
        right = judged.probabilities.argmax(dim=1) == labels
        return {
            **scores(judged.features, real),
            "second_relative_fd": distances(embedded, second.statistics)["relative_fd"],
            "accuracy": float(right.double().mean()),
        }
