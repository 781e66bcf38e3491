"""Training the autoencoder."""

import pytest
import torch
from torch import Tensor

from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.judges import JUDGES
from mnist_diffusion.runtime.seeds import generator, seeded
from mnist_diffusion.settings import AutoencoderTraining
from mnist_diffusion.training.supervised import BLACK, corrupt, reconstruction, train

SETTINGS = AutoencoderTraining(
    epochs=6, batch_size=16, learning_rate=4e-3, weight_decay=0.01, mask=8, noise=0.2, seed=0
)


def squares(n: int) -> Tensor:
    """White squares at random places of a black image."""
    images = torch.full((n, 1, 28, 28), BLACK)
    corners = torch.randint(20, (n, 2), generator=torch.Generator().manual_seed(0))
    for image, (row, column) in zip(images, corners.tolist(), strict=True):
        image[0, row : row + 8, column : column + 8] = 1
    return images


def trained(seed: int = 0) -> tuple[list[float], dict[str, Tensor]]:
    network = seeded(lambda: checkpoint.build(JUDGES, "autoencoder", {}), seed=0)
    settings = SETTINGS.model_copy(update={"seed": seed})
    task = reconstruction(squares(160), settings, torch.device("cpu"))
    return list(train(network, task)), checkpoint.weights(network)


def test_training_restores_what_was_hidden() -> None:
    losses, _ = trained()
    assert len(losses) == 60
    blank = float((squares(160) - squares(160).mean()).square().mean())
    assert sum(losses[-10:]) / 10 < 0.6 * blank < sum(losses[:3]) / 3


def test_the_loss_is_of_the_clean_image() -> None:
    losses, _ = trained()
    network = seeded(lambda: checkpoint.build(JUDGES, "autoencoder", {}), seed=0)
    randomness = generator(0, "extractor/epoch", 0)
    clean = squares(160)[torch.randperm(160, generator=randomness)[:16]]
    _, restored = network(corrupt(clean, SETTINGS.mask, SETTINGS.noise, randomness))
    assert losses[0] == pytest.approx(float((restored - clean).detach().square().mean()), rel=1e-5)


def test_training_is_repeatable_and_its_seed_matters() -> None:
    (losses, weights), (again, same), (others, _) = trained(), trained(), trained(seed=1)
    assert losses == again != others
    assert all(torch.equal(weights[key], same[key]) for key in weights)


@pytest.mark.parametrize("mask", [0, 1, 8, 27])
def test_exactly_one_square_is_hidden(mask: int) -> None:
    images = torch.rand(50, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    found = corrupt(images, mask, 0.0, generator(0, "test"))
    hidden = (found == BLACK).squeeze(1)
    assert (hidden.flatten(1).sum(dim=1) == mask**2).all()
    assert torch.equal(found.squeeze(1)[~hidden], images.squeeze(1)[~hidden])
    if mask:
        assert (hidden.any(dim=1).sum(dim=1) == mask).all()
        assert (hidden.any(dim=2).sum(dim=1) == mask).all()


def test_squares_are_everywhere() -> None:
    images = torch.ones(2000, 1, 28, 28)
    hidden = corrupt(images, 10, 0.0, generator(0, "test")) == BLACK
    assert hidden.any(dim=0).all()


def test_noise_has_its_deviation() -> None:
    images = torch.zeros(200, 1, 28, 28)
    noise = corrupt(images, 0, 0.3, generator(0, "test"))
    assert float(noise.std()) == pytest.approx(0.3, rel=0.01)
    assert float(noise.mean()) == pytest.approx(0, abs=0.005)
