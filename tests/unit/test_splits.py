"""Splits: stratified, disjoint, repeatable; described exactly; stored without pickle."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mnist_diffusion.dataset.mnist import Digits, read_digits
from mnist_diffusion.dataset.pixels import to_tensor, to_uint8
from mnist_diffusion.dataset.splits import SPLITS, load_split, save_split, split_digits, summarise
from mnist_diffusion.runtime.errors import UserError


def numbered(count: int) -> Digits:
    """Digits whose first pixels hold their own number, class 9 twice as often as the others."""
    images = np.zeros((count, 28, 28), dtype=np.uint8)
    images[:, 0, 0], images[:, 0, 1] = np.divmod(np.arange(count), 256)
    return Digits(images, np.minimum(np.arange(count) % 11, 9))


def numbers(digits: Digits) -> list[int]:
    return (digits.images[:, 0, 0].astype(int) * 256 + digits.images[:, 0, 1]).tolist()


TRAINING, TESTING = numbered(3000), numbered(1000)
SIZES = {"train": 2700, "validation": 300, "test": 1000}
SMALL = {"train": 400, "validation": 50, "test": 100}


@pytest.mark.parametrize("sizes", [SIZES, SMALL], ids=["all", "small"])
def test_sizes_shares_and_sources(sizes):
    splits = split_digits(TRAINING, TESTING, sizes=sizes, seed=0)
    assert {name: len(digits.labels) for name, digits in splits.items()} == sizes
    assert not set(numbers(splits["train"])) & set(numbers(splits["validation"]))
    for name, source in zip(SPLITS, (TRAINING, TRAINING, TESTING), strict=True):
        digits, chosen = splits[name], numbers(splits[name])
        assert len(set(chosen)) == len(chosen)
        assert np.array_equal(digits.labels, source.labels[chosen])
        expected = np.bincount(source.labels) * len(chosen) / len(source.labels)
        assert np.abs(np.bincount(digits.labels, minlength=10) - expected).max() <= 1


def test_the_whole_test_set_keeps_its_order():
    splits = split_digits(TRAINING, TESTING, sizes=SIZES, seed=0)
    assert numbers(splits["test"]) == list(range(1000))


def test_the_seed_alone_decides():
    first, again, other = (
        numbers(split_digits(TRAINING, TESTING, sizes=SMALL, seed=seed)["train"])
        for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other
    assert first[:4] == [
        2016,
        2318,
        299,
        2877,
    ]  # a new scikit-learn must not change the split unnoticed


@pytest.mark.parametrize(
    ("sizes", "key"),
    [
        ({"train": 5, "validation": 50, "test": 100}, "prepare.train: train 5 and validation 50"),
        ({"train": 400, "validation": 50, "test": 995}, "prepare.test: test 995 of 1000"),
    ],
)
def test_sizes_that_cannot_be_stratified_are_refused(sizes, key):
    with pytest.raises(UserError, match=key) as refusal:
        split_digits(TRAINING, TESTING, sizes=sizes, seed=0)
    assert "\n" not in str(refusal.value)


def test_the_real_split(raw_mnist: Path):
    training, testing = read_digits(raw_mnist, "train"), read_digits(raw_mnist, "t10k")
    assert training.labels[:5].tolist() == [5, 0, 4, 1, 9]  # as on the pages that introduce MNIST
    assert testing.labels[:5].tolist() == [7, 2, 1, 0, 4]
    sizes = {"train": 55_000, "validation": 5_000, "test": 10_000}
    splits = split_digits(training, testing, sizes=sizes, seed=0)
    described = {name: summarise(digits) for name, digits in splits.items()}
    assert {name: entry["count"] for name, entry in described.items()} == sizes
    assert described["test"]["count_per_class"]["5"] == 892
    assert sum(described[name]["count_per_class"]["1"] for name in ("train", "validation")) == 6742
    whole = summarise(training)  # the mean and deviation that MNIST examples normalise with
    assert (whole["pixel_mean"], whole["pixel_std"]) == pytest.approx((0.1307, 0.3081), abs=5e-5)


def test_the_summary_agrees_with_float_arithmetic():
    digits = Digits(
        np.random.default_rng(1).integers(256, size=(20, 28, 28), dtype=np.uint8),
        np.array([3] * 20),
    )
    summary = summarise(digits)
    pixels = digits.images / 255
    assert summary["pixel_mean"] == pytest.approx(pixels.mean(), rel=1e-12)
    assert summary["pixel_std"] == pytest.approx(pixels.std(), rel=1e-12)
    assert summary["count_per_class"] == {str(k): 20 * (k == 3) for k in range(10)}


def test_a_split_comes_back_as_it_was_saved(tmp_path: Path):
    save_split("train", TESTING, tmp_path)
    images, labels = load_split("train", tmp_path)
    assert np.array_equal(images, TESTING.images)
    assert np.array_equal(labels, TESTING.labels)
    assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "train-images.npy",
        "train-labels.npy",
    ]


def test_every_pixel_value_survives_scaling():
    pixels = np.resize(np.arange(256, dtype=np.uint8), (2, 28, 28))
    scaled = to_tensor(pixels)
    assert (scaled.shape, scaled.dtype) == ((2, 1, 28, 28), torch.float32)
    assert (scaled.min().item(), scaled.max().item()) == (-1.0, 1.0)
    assert np.array_equal(to_uint8(scaled), pixels)


def test_scaling_clamps_and_rounds_halves_to_even():
    values = torch.tensor([-7.0, -1.0, 0.0, 1.0, 7.0, torch.inf]).view(-1, 1, 1, 1)
    # 0 lies at 127.5, halfway between 127 and 128.
    assert to_uint8(values).ravel().tolist() == [0, 0, 128, 255, 255, 255]


def test_nan_has_no_pixel_value():
    with pytest.raises(ValueError, match="NaN"):
        to_uint8(torch.full((1, 1, 28, 28), torch.nan))
