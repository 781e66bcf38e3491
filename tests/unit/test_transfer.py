"""Training on drawn digits: as good as the digits are, and the same every time."""

import numpy as np
import pytest
import torch

from mnist_diffusion.dataset.mnist import Digits, read_digits
from mnist_diffusion.dataset.pixels import to_tensor
from mnist_diffusion.dataset.splits import save_split
from mnist_diffusion.evaluation.features import classify
from mnist_diffusion.evaluation.transfer import over_seeds
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import ClassifierTraining
from mnist_diffusion.stages.trtr import real_digits
from mnist_diffusion.training.supervised import trained_classifier

RECIPE = ClassifierTraining(
    epochs=4,
    batch_size=25,
    learning_rate=4e-3,
    weight_decay=0.05,
    label_smoothing=0.0,
    augmentation=0.05,
    seed=0,
)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits(raw_mnist):
    images, labels = read_digits(raw_mnist, "train")
    return to_tensor(images[:900]), torch.from_numpy(labels[:900])


def accuracy(network, digits):
    images, labels = (part[300:] for part in digits)
    seen = classify(network, images, CPU).probabilities.argmax(dim=1)
    return float((seen == labels).double().mean())


def test_good_digits_teach_and_mislabelled_ones_teach_what_they_say(digits):
    images, labels = (part[:300] for part in digits)
    taught = trained_classifier(images, labels, RECIPE, CPU)
    misled = trained_classifier(images, (labels + 1) % 10, RECIPE, CPU)
    assert not taught.training
    assert accuracy(taught, digits) > 0.6
    assert accuracy(misled, digits) < 0.1


def test_the_same_digits_teach_the_same(digits):
    images, labels = (part[:60] for part in digits)
    recipe = RECIPE.model_copy(update={"epochs": 1})
    first, again = (trained_classifier(images, labels, recipe, CPU) for _ in range(2))
    for one, other in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_fewer_digits_than_a_batch_are_one(digits):
    images, labels = (part[:20] for part in digits)
    recipe = RECIPE.model_copy(update={"batch_size": 128, "epochs": 2})
    before = trained_classifier(images, labels, recipe.model_copy(update={"epochs": 1}), CPU)
    after = trained_classifier(images, labels, recipe, CPU)
    assert any(
        not torch.equal(one, other)
        for one, other in zip(before.parameters(), after.parameters(), strict=True)
    )


def test_trtr_has_the_digits_that_are_drawn(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    labels = np.random.default_rng(0).permutation(np.arange(60) % 10)
    images = np.zeros((60, 28, 28), dtype=np.uint8)
    images[:, 0, 0] = np.arange(60)
    save_split("train", Digits(images, labels))
    found = real_digits(23)
    assert np.array_equal(found.labels, np.arange(23) % 10)
    assert np.array_equal(labels[found.images[:, 0, 0]], found.labels)
    assert len(set(found.images[:, 0, 0])) == 23
    with pytest.raises(UserError, match=r"prepare\.train: fewer than 7 of a digit"):
        real_digits(61)


def trained(seeds: int, digits: int, seed: int) -> torch.Tensor:
    """Which digits are right by each of some trainings: luck of both, and of the two together."""
    generator = torch.Generator().manual_seed(seed)
    hard = torch.randn(digits, generator=generator)
    good = 0.1 * torch.randn(seeds, 1, generator=generator)
    own = torch.randn(seeds, digits, generator=generator)
    return (hard + good + own) < 2.0


def test_the_interval_is_of_other_seeds_and_other_digits() -> None:
    truth = float(torch.special.ndtr(torch.tensor(2.0 / 2.01**0.5)))
    intervals = [over_seeds(trained(5, 1000, seed), 0.95)["interval"] for seed in range(300)]
    held = sum(low < truth < high for low, high in intervals) / 300
    assert 0.92 <= held <= 0.995


def test_accuracies_are_by_seed_and_their_mean_is_the_accuracy() -> None:
    right = torch.tensor([[True, True, True, False], [True, False, True, False]])
    found = over_seeds(right, 0.95)
    assert found["accuracies"] == [0.75, 0.5]
    assert found["accuracy"] == 0.625
    assert found["interval"] == [0.0, 1.0]
    assert over_seeds(torch.ones(2, 4, dtype=torch.bool), 0.95)["interval"] == [1.0, 1.0]
    apart = torch.tensor([[True] * 4, [False] * 4, [True] * 4])  # all digits alike, not all seeds
    assert over_seeds(apart, 0.95)["interval"] == [0.0, 1.0]
