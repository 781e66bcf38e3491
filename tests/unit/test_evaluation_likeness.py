"""Precision, recall, density and coverage, against their authors' words and code."""

import pytest
import torch
from prdc import compute_prdc
from torch import Tensor

from mnist_diffusion.evaluation.prdc import Balls, Decisions
from mnist_diffusion.evaluation.real_digits import compared
from mnist_diffusion.evaluation.scores import likeness, likeness_intervals
from mnist_diffusion.runtime.errors import UserError


def normal(n: int, width: int, seed: int, shift: float = 0.0) -> Tensor:
    return torch.randn(n, width, generator=torch.Generator().manual_seed(seed)) + shift


def decisions(real: Tensor, drawn: Tensor, neighbours: int = 5) -> Decisions:
    return Balls(real, drawn, neighbours).decisions()


@pytest.mark.parametrize(("n", "m", "k"), [(60, 60, 5), (80, 50, 3), (40, 70, 1)])
def test_prdc_is_that_of_its_authors(n: int, m: int, k: int) -> None:
    real, drawn = normal(m, 8, 0), normal(n, 8, 1, shift=0.4)
    theirs = compute_prdc(real.double().numpy(), drawn.double().numpy(), nearest_k=k)
    assert decisions(real, drawn, k).scores() == pytest.approx(theirs)


def test_a_set_is_within_itself() -> None:
    real = normal(50, 4, 0)
    found = decisions(real, real.flip(0)).scores()
    assert found["precision"] == found["recall"] == found["coverage"] == 1


def test_copies_of_one_image_have_no_recall() -> None:
    real = normal(100, 3, 0)
    found = decisions(real, real[:1].expand(100, 3)).scores()
    assert found["precision"] == 1
    assert found["recall"] <= 0.01


def test_too_few_images_are_told() -> None:
    with pytest.raises(UserError, match="6 images have no 6 neighbours"):
        decisions(normal(6, 2, 0), normal(6, 2, 1))


def test_influences_on_recall_and_coverage_are_what_is_lost_without_an_image() -> None:
    real, drawn, n = normal(50, 3, 0), normal(40, 3, 1, shift=0.8), 40
    whole = decisions(real, drawn).scores()
    without = [decisions(real, torch.cat([drawn[:i], drawn[i + 1 :]])).scores() for i in range(n)]
    for key, found in Balls(real, drawn).influences().items():
        lost = torch.tensor([whole[key] - one[key] for one in without]).double()
        torch.testing.assert_close(found, (n - 1) * (lost - lost.mean()))
        assert lost.std() > 0


def test_every_score_by_neighbours_has_an_interval_around_it() -> None:
    features, real, labels = normal(300, 6, 1, shift=0.3), normal(300, 6, 2), torch.arange(300) % 10
    found, intervals = likeness_intervals(features, labels, real, 0.95)
    assert found == likeness(features, real)
    assert set(intervals) == set(found)
    for key, (low, high) in intervals.items():
        assert low < found[key] < high


def test_only_as_many_images_are_met_as_there_are_test_digits() -> None:
    features, real, labels = normal(300, 6, 1, shift=0.3), normal(100, 6, 2), torch.arange(300) % 10
    assert likeness(features, real) == likeness(features[:100], real)
    intervals = likeness_intervals(features, labels, real, 0.95)
    assert intervals == likeness_intervals(features[:100], labels[:100], real, 0.95)


def test_shares_have_intervals_among_shares() -> None:
    real = normal(60, 3, 0)
    _, intervals = likeness_intervals(normal(60, 3, 1), torch.zeros(60), real, 0.95)
    for key in ("precision", "recall", "coverage"):
        assert 0 <= intervals[key][0] < intervals[key][1] <= 1


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.5, 0.8), (1.0, 0.6)])
def test_intervals_of_precision_and_its_kin_hold_the_truth(shift: float, scale: float) -> None:
    """Real images held fixed; what is drawn is as wide as the real or narrower, and off.

    Of recall the interval is too wide where much is recalled, as it says.
    """
    real, unasked = normal(300, 6, 10**6), torch.full((300,), -1)
    found, intervals = [], []
    for seed in range(150):
        images = scale * normal(300, 6, seed) + shift
        values, ends = likeness_intervals(images, unasked, real, 0.95)
        found.append(values)
        intervals.append(ends)
    for key in ("precision", "recall", "density", "coverage"):
        truth = sum(one[key] for one in found) / len(found)
        covered = sum(one[key][0] < truth < one[key][1] for one in intervals) / len(found)
        assert covered >= 0.90, key
        assert covered <= 0.98 or key in ("recall", "coverage"), key


def test_no_more_than_half_of_the_test_digits_are_met() -> None:
    assert compared(2000, 10_000) == 2000
    assert compared(10_000, 10_000) == 5000
