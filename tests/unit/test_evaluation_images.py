"""Copies of training digits, ink, and the second network."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from mnist_diffusion.evaluation.accuracy import extremes
from mnist_diffusion.evaluation.features import encode
from mnist_diffusion.evaluation.pixel_scores import (
    memorisation,
    nearest_distances,
    pixel_statistics,
)
from mnist_diffusion.networks.judges import Autoencoder


def noise(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 28, 28), dtype=np.uint8)


def test_nearest_distances_are_those_of_scipy() -> None:
    images, training = noise(7, 0), noise(300, 1)
    every = cdist(images.reshape(7, -1) / 255, training.reshape(300, -1) / 255)
    np.testing.assert_allclose(nearest_distances(images, training), every.min(axis=1), rtol=1e-5)


def test_copied_training_digits_are_found() -> None:
    training, tests = noise(500, 0), nearest_distances(noise(200, 1), noise(500, 0))
    copied = np.concatenate([training[:30], noise(70, 2)])
    distances = nearest_distances(copied, training)
    assert distances[:30].max() < 1e-3 < distances[30:].min()
    found = memorisation(distances, tests)
    assert found["share_closer"] == pytest.approx(0.3, abs=0.05)
    fair = memorisation(nearest_distances(noise(100, 2), training), tests)
    assert fair["share_closer"] < 0.05
    assert found["median_distance_test"] == fair["median_distance_test"]


def test_ink_by_hand() -> None:
    """Four stroke pixels, three saturated, and one too faint for either."""
    images = np.zeros((2, 28, 28), np.uint8)
    images[0, 0, :5] = [255, 250, 249, 127, 255]
    found = pixel_statistics(images)
    assert found["saturated"] == pytest.approx(3 / 4)
    assert found["mass"] == pytest.approx((255 + 250 + 249 + 127 + 255) / 255 / 2)


def test_empty_images_have_no_ink() -> None:
    assert pixel_statistics(np.zeros((3, 28, 28), np.uint8)) == {"saturated": 0.0, "mass": 0.0}


@pytest.mark.parametrize("count", [1, 501])
def test_the_second_network_keeps_order_and_count(count: int) -> None:
    torch.manual_seed(0)
    network = Autoencoder().eval()
    images = torch.randn(count, 1, 28, 28)
    found = encode(network, images, torch.device("cpu"))
    assert found.shape == (count, 64)
    torch.testing.assert_close(found[-1:], network.encoder(images[-1:]).detach())


def test_best_and_worst_by_the_digit_asked_for() -> None:
    probabilities = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    assert extremes(probabilities, torch.tensor([0, 0, 0, 1])) == {
        "best": [0, 3, 2, 1],
        "worst": [1, 2, 3, 0],
    }
    assert extremes(probabilities, torch.full((4,), -1))["best"] == [0, 1, 3, 2]
    many = extremes(torch.rand(100, 10), torch.zeros(100, dtype=torch.long))
    assert len(many["best"]) == len(many["worst"]) == 20
