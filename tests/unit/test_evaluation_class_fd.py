"""The Fréchet distance within classes: what the pooled one does not see."""

import pytest
import torch
from torch import Tensor

from mnist_diffusion.evaluation.class_fd import class_fd, per_class
from mnist_diffusion.evaluation.frechet import ReferenceStatistics, fd_infinity, relative_fd

LABELS = torch.arange(2000) % 10
CENTRES = 4 * torch.randn(10, 5, generator=torch.Generator().manual_seed(99)).double()


def digits(seed: int, n: int = 2000) -> Tensor:
    """Ten far classes, each of variance 1 in 5 dimensions."""
    noise = torch.randn(n, 5, dtype=torch.double, generator=torch.Generator().manual_seed(seed))
    return CENTRES[torch.arange(n) % 10] + noise


def known() -> dict[str, ReferenceStatistics]:
    eye = torch.eye(5, dtype=torch.double)
    return {
        str(digit): ReferenceStatistics(centre, eye, 10**6) for digit, centre in enumerate(CENTRES)
    }


def value(features: Tensor, labels: Tensor = LABELS) -> float:
    found = class_fd(labels, per_class(features, labels, known(), seed=0))
    assert found is not None
    return found.value


def test_it_is_the_mean_over_digits_of_their_own_distances() -> None:
    """Each class moved by d along one axis: d² of a variance of 5; the laws, not the sets."""
    moved = digits(0)
    moved[:, 0] += 0.1 * LABELS
    expected = sum((0.1 * digit) ** 2 for digit in range(10)) / 10 / 5
    found = class_fd(LABELS, per_class(moved, LABELS, known(), seed=0))
    assert found is not None
    assert abs(found.value - expected) < 3 * found.error
    assert found.error < 0.15 * expected


def test_wrong_labels_are_seen_by_it_and_not_by_the_pooled_distance() -> None:
    """Three in ten of the images are of the next digit, and as many of each digit stay."""
    features = digits(0)
    swapped = features.clone()
    wrong = torch.arange(2000) // 10 % 10 < 3
    swapped[wrong] = features[wrong].roll(1, dims=0)
    pooled = ReferenceStatistics.of(digits(1, 20_000))
    unasked = torch.zeros(2000)
    before, after = (relative_fd(one, unasked, pooled).value for one in (features, swapped))
    assert after == pytest.approx(before)
    assert value(swapped) > value(features) + 0.5


def test_the_class_that_is_off_is_told() -> None:
    features = digits(1)
    features[LABELS == 3] += 2
    found = per_class(features, LABELS, known(), seed=0)
    far = {digit: one.value for digit, one in found.items() if one}
    assert max(far, key=far.__getitem__) == "3"


def test_a_digit_of_too_few_images_has_none_and_leaves_no_mean() -> None:
    few = per_class(digits(1)[:35], LABELS[:35], known(), seed=0)
    assert few["4"] is not None
    assert few["5"] is None
    assert class_fd(LABELS[:35], few) is None


def test_each_image_moves_the_mean_by_a_tenth_of_what_it_moves_its_class() -> None:
    features = digits(2, n=400)
    labels = torch.arange(400) % 10
    found = class_fd(labels, per_class(features, labels, known(), seed=0))
    assert found is not None
    errors, doubts = [], []
    for digit, statistics in known().items():
        own = features[labels == int(digit)], labels[labels == int(digit)], statistics
        one = fd_infinity(*own, seed=0)
        errors.append(one.error)
        doubts.append(abs(relative_fd(*own).value - one.value) / 6)
    luck = sum(error**2 for error in errors) ** 0.5 / 10
    assert found.doubt == pytest.approx(sum(doubts) / 10)
    assert found.error == pytest.approx((luck**2 + found.doubt**2) ** 0.5)


def test_what_is_doubted_of_both_is_not_doubted_of_their_difference() -> None:
    sets = [per_class(digits(seed), LABELS, known(), seed=0) for seed in (3, 4)]
    one, other = (class_fd(LABELS, found) for found in sets)
    assert one is not None and other is not None
    assert one.less(other).doubt < 0.5 * one.doubt
    assert one.scaled(-2).doubt == 2 * one.doubt
