"""Copies of training digits, ink, and the second network."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from mnist_diffusion.evaluation import copying
from mnist_diffusion.evaluation.accuracy import extremes
from mnist_diffusion.evaluation.copying import (
    copies,
    copies_in_features,
    nearer,
    nearest_distances,
)
from mnist_diffusion.evaluation.estimates import Estimate
from mnist_diffusion.evaluation.ink import background_of, ink, stroke_gap


def noise(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 28, 28), dtype=np.uint8)


def test_nearest_distances_are_those_of_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over several blocks of the others, of which any may have the nearest."""
    monkeypatch.setattr(copying, "BLOCK", 70)
    images, training = noise(7, 0), noise(300, 1)
    every = cdist(images.reshape(7, -1) / 255, training.reshape(300, -1) / 255)
    np.testing.assert_allclose(nearest_distances(images, training), every.min(axis=1), rtol=1e-4)


def pool(n: int, seed: int) -> np.ndarray:
    """Images that lie in a few dimensions, so that some have others near."""
    random = np.random.default_rng(seed)
    basis = np.random.default_rng(1234).uniform(-12, 12, (5, 28, 28))
    smooth = 128 + np.tensordot(random.normal(size=(n, 5)), basis, axes=1)
    return np.clip(smooth, 0, 255).astype(np.uint8)


def tried(images: np.ndarray) -> dict[str, float]:
    """Against 900 training and 100 held-out digits."""
    distances = [nearest_distances(images, real) for real in (pool(900, 1), pool(100, 2))]
    return copies(nearer(*distances), 900, 100)


def test_what_copies_nothing_is_as_near_to_held_out_digits() -> None:
    found = [tried(pool(300, seed)) for seed in range(100, 140)]
    assert np.mean([one["share"] for one in found]) == pytest.approx(0.9, abs=0.02)
    assert sum(one["p"] < 0.05 for one in found) <= 6


def test_copies_are_found_and_their_share_told() -> None:
    """Of 300 images 150 are training digits, with a little noise: 0.5 + 0.5 · 0.9 are near."""
    copied = pool(900, 1)[:150]
    smudged = np.clip(
        copied.astype(int) + np.random.default_rng(0).integers(-2, 3, copied.shape), 0, 255
    ).astype(np.uint8)
    found = tried(np.concatenate([smudged, pool(150, 100)]))
    assert found["expected"] == 0.9
    assert found["share"] == pytest.approx(0.95, abs=0.03)
    assert found["p"] < 0.01


def test_a_share_among_copies_is_that_of_a_binomial() -> None:
    """10 of 10 where half is expected: 1 in 1,024. An equal distance to both is no copy."""
    near, far = torch.ones(10), torch.full((10,), 2.0)
    assert copies(nearer(near, far), 5, 5)["p"] == pytest.approx(2**-10)
    assert copies(nearer(near, near), 5, 5) == {"share": 0.0, "expected": 0.5, "p": 1.0}


def test_in_features_the_real_digits_say_what_to_expect() -> None:
    """Fisher's tea: of eight cups four are told right."""
    found = copies_in_features(torch.tensor([True, True, True, False]), 1, 4)
    assert (found["share"], found["expected"]) == (0.75, 0.25)
    assert found["p"] == pytest.approx(17 / 70)


BEHIND = np.zeros((28, 28), dtype=bool)
BEHIND[20:] = True


def inked(images: np.ndarray, background: np.ndarray = BEHIND) -> dict[str, Estimate]:
    return ink(images, torch.zeros(len(images)), background)


def test_ink_by_hand() -> None:
    """Four stroke pixels, three saturated, one too faint for either; and one behind the digit."""
    images = np.zeros((2, 28, 28), np.uint8)
    images[0, 0, :5] = [255, 250, 249, 127, 255]
    images[1, 25, 3] = 51
    found = {name: one.value for name, one in inked(images).items()}
    assert found["saturated"] == pytest.approx(3 / 4)
    assert found["mass"] == pytest.approx((255 + 250 + 249 + 127 + 255 + 51) / 255 / 2)
    assert found["background"] == pytest.approx(0.2 / (8 * 28) / 2)


def test_empty_images_have_no_ink() -> None:
    found = inked(np.zeros((3, 28, 28), np.uint8))
    assert [one.value for one in found.values()] == [0, 0, 0]


def test_the_background_is_what_is_black_in_nearly_every_digit() -> None:
    images = np.zeros((200, 28, 28), np.uint8)
    images[:2, 0, 0] = 1
    images[:3, 0, 1] = 255
    images[:3, 0, 2] = 1
    found = background_of(images)
    assert found[0, 0] and not found[0, 1] and not found[0, 2]
    assert found.sum() == 28 * 28 - 2


@pytest.mark.parametrize(("real", "gap"), [(0.5, 0.25), (0.9, 0.15)])
def test_too_many_full_pixels_are_as_far_off_as_too_few(real: float, gap: float) -> None:
    images = noise(40, 0)
    saturated = inked(images)["saturated"]
    shifted = Estimate(0.75, saturated.influences, saturated.labels)
    found = stroke_gap(shifted, real)
    assert found.value == pytest.approx(gap)
    assert found.error == pytest.approx(saturated.error) != 0


def test_best_and_worst_by_the_digit_asked_for() -> None:
    probabilities = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    assert extremes(probabilities, torch.tensor([0, 0, 0, 1])) == {
        "best": [0, 3, 2, 1],
        "worst": [1, 2, 3, 0],
    }
    assert extremes(probabilities, torch.full((4,), -1))["best"] == [0, 1, 3, 2]
    many = extremes(torch.rand(100, 10), torch.zeros(100, dtype=torch.long))
    assert len(many["best"]) == len(many["worst"]) == 20
