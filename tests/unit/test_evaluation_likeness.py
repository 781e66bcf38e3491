"""KID, precision, recall, density and coverage, against their authors' words and code."""

import numpy as np
import pytest
import torch
from prdc import compute_prdc
from torch import Tensor

from mnist_diffusion.evaluation.bootstrap import counts
from mnist_diffusion.evaluation.frechet import ReferenceStatistics, per_class
from mnist_diffusion.evaluation.kid import kernel_distance, kernel_estimate
from mnist_diffusion.evaluation.prdc import decisions, prdc_influences
from mnist_diffusion.evaluation.real_digits import Real, compared
from mnist_diffusion.evaluation.scores import likeness, likeness_intervals, scores
from mnist_diffusion.runtime.errors import UserError


def normal(n: int, width: int, seed: int, shift: float = 0.0) -> Tensor:
    return torch.randn(n, width, generator=torch.Generator().manual_seed(seed)) + shift


@pytest.mark.parametrize(("n", "m", "k"), [(60, 60, 5), (80, 50, 3), (40, 70, 1)])
def test_prdc_is_that_of_its_authors(n: int, m: int, k: int) -> None:
    real, drawn = normal(m, 8, 0), normal(n, 8, 1, shift=0.4)
    theirs = compute_prdc(real.double().numpy(), drawn.double().numpy(), nearest_k=k)
    assert decisions(real, drawn, k).scores() == pytest.approx(theirs)


@pytest.mark.slow
def test_prdc_of_the_published_example() -> None:
    """The readme of prdc: two sets of 10,000 from N(0, I) in 1000 dimensions."""
    found = decisions(normal(10_000, 1000, 0), normal(10_000, 1000, 1)).scores()
    published = {"precision": 0.4772, "recall": 0.4705, "density": 1.0555, "coverage": 0.9735}
    assert found.pop("density") == pytest.approx(published.pop("density"), abs=0.1)
    assert found == pytest.approx(published, abs=0.03)


def test_a_set_is_within_itself() -> None:
    real = normal(50, 4, 0)
    found = decisions(real, real.flip(0)).scores()
    assert found["precision"] == found["recall"] == found["coverage"] == 1


def test_a_mode_that_is_missing_costs_recall_and_coverage_not_precision() -> None:
    """Two islands, of which one is drawn."""
    real = torch.cat([normal(100, 3, 0), normal(100, 3, 1, shift=50)])
    found = decisions(real, normal(200, 3, 2)).scores()
    assert found["precision"] > 0.9
    assert found["recall"] < 0.55
    assert found["coverage"] < 0.55


def test_images_off_every_manifold_cost_precision_and_density() -> None:
    real = normal(100, 3, 0)
    drawn = torch.cat([normal(50, 3, 1), normal(50, 3, 2, shift=50)])
    found = decisions(real, drawn)
    assert not found.precision[50:].any()
    assert not found.density[50:].any()


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
    for key, found in prdc_influences(real, drawn).items():
        lost = torch.tensor([whole[key] - one[key] for one in without]).double()
        torch.testing.assert_close(found, (n - 1) * (lost - lost.mean()))
        assert lost.std() > 0


def kid_by_words(real: np.ndarray, drawn: np.ndarray) -> float:
    """Bińkowski et al. 2018, the unbiased estimator, term by term."""
    m, n, width = len(real), len(drawn), real.shape[1]

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return float((x @ y / width + 1) ** 3)

    total = sum(kernel(real[i], real[j]) for i in range(m) for j in range(m) if i != j)
    among = sum(kernel(drawn[i], drawn[j]) for i in range(n) for j in range(n) if i != j)
    across = sum(kernel(x, y) for x in real for y in drawn)
    return total / (m * (m - 1)) + among / (n * (n - 1)) - 2 * across / (m * n)


def test_kid_is_that_of_the_paper() -> None:
    real, drawn = normal(15, 4, 0).double(), normal(15, 4, 1, shift=0.5).double()
    assert kernel_distance(real, drawn) == pytest.approx(kid_by_words(real.numpy(), drawn.numpy()))


def test_an_image_moves_kid_as_when_it_is_left_out() -> None:
    """Against the jackknife; a resample of one image alone moves by that image's influence."""
    n = 25
    real, drawn = normal(n, 4, 0).double(), normal(n, 4, 1, shift=0.5).double()
    whole = kernel_distance(real, drawn)
    estimate = kernel_estimate(real, drawn)
    influences = estimate.resampled(n * torch.eye(n, dtype=torch.long)) - whole
    without = [
        kid_by_words(real.numpy(), np.delete(drawn.numpy(), image, axis=0)) for image in range(n)
    ]
    expected = (n - 1) * (whole - np.array(without))
    expected -= expected.mean()
    spread = expected.std()
    np.testing.assert_allclose(influences.numpy() / spread, expected / spread, atol=0.15)


def test_kid_does_not_see_the_order_and_sees_no_difference_on_average() -> None:
    real = normal(200, 6, 0)
    drawn = [normal(200, 6, seed) for seed in range(1, 41)]
    values = torch.tensor([kernel_distance(real, one) for one in drawn])
    assert abs(values.mean()) < 3 * values.std() / len(values) ** 0.5 + 0.02
    assert values.min() < 0 < values.max()
    assert kernel_distance(real, drawn[0].flip(0)) == pytest.approx(values[0].item(), rel=1e-5)


def test_every_score_has_an_interval_around_it() -> None:
    features = normal(300, 6, 1, shift=0.3)
    real = Real(ReferenceStatistics.of(normal(3000, 6, 0)), normal(300, 6, 2))
    drawings = torch.ones(40, 300, dtype=torch.long).scatter_add_(
        1, torch.arange(40)[:, None], torch.ones(40, 1, dtype=torch.long)
    )
    found = scores(features, real)
    intervals = likeness_intervals(features, real.features, drawings, 0.95)
    assert set(intervals) == set(found) - {"fd", "relative_fd"}
    for key, (low, high) in intervals.items():
        assert low < found[key] < high


def test_only_as_many_images_are_met_as_there_are_test_digits() -> None:
    features, real = normal(300, 6, 1, shift=0.3), normal(100, 6, 2)
    drawings = counts(100, 20, seed=0)
    assert likeness(features, real) == likeness(features[:100], real)
    intervals = likeness_intervals(features, real, drawings, 0.95)
    assert intervals == likeness_intervals(features[:100], real, drawings, 0.95)


def test_shares_have_intervals_among_shares() -> None:
    real = normal(60, 3, 0)
    intervals = likeness_intervals(normal(60, 3, 1), real, counts(60, 50, seed=0), 0.95)
    for key in ("precision", "recall", "coverage"):
        assert 0 <= intervals[key][0] < intervals[key][1] <= 1


def test_duplicated_images_change_no_mean_but_the_manifolds() -> None:
    """Each image twice: the same FD to the bias of n, the same precision, less recall."""
    real = normal(400, 6, 0)
    once, twice = normal(400, 6, 1)[:200], normal(400, 6, 1)[:200].repeat(2, 1)
    assert decisions(real, twice).precision[:200].equal(decisions(real, once).precision)
    assert decisions(real, twice).scores()["recall"] < decisions(real, once).scores()["recall"]


def test_no_more_than_half_of_the_test_digits_are_met() -> None:
    assert compared(2000, 10_000) == 2000
    assert compared(10_000, 10_000) == 5000


def test_fd_of_each_class_sees_the_class_that_is_off() -> None:
    labels = torch.arange(1000) % 10
    training = normal(5000, 5, 0)
    of = torch.arange(5000) % 10
    classes = {str(d): ReferenceStatistics.of(training[of == d]) for d in range(10)}
    features = normal(1000, 5, 1)
    features[labels == 3] += 2
    found = per_class(features, labels, classes)
    assert max(found, key=lambda digit: found[digit] or 0) == "3"
    few = per_class(features[:15], labels[:15], classes)
    assert few["4"] is not None and few["5"] is None
