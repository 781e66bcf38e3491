"""Intervals, by how often they hold the truth on simulated images."""

import pytest
import torch
from torch import Tensor

from mnist_diffusion.evaluation.bootstrap import (
    Estimate,
    counts,
    proportion_interval,
)
from mnist_diffusion.evaluation.frechet import (
    ReferenceStatistics,
    relative_fd,
)
from mnist_diffusion.evaluation.kid import kernel_estimate
from mnist_diffusion.evaluation.scores import likeness, likeness_intervals

REGIMES = {"near": (0.1, 1.05), "half way": (0.2, 1.1), "far": (0.5, 1.4)}
"""Shift and scale of what is drawn: relative distances of about 0.02, 0.06 and 0.4. The floor is
0.006 at 2000 images in 64 dimensions."""


def spectrum(width: int) -> Tensor:
    """Variances that fall as those of real features do."""
    return torch.exp(-4 * torch.arange(width).double() / width)


def drawn(n: int, width: int, regime: str, seed: int) -> Tensor:
    shift, scale = {**REGIMES, "real": (0.0, 1.0)}[regime]
    noise = torch.randn(n, width, dtype=torch.double, generator=torch.Generator().manual_seed(seed))
    return spectrum(width).sqrt() * (scale * noise + shift)


def coverage_of_frechet(n: int, width: int, regime: str, repeats: int, resamples: int) -> float:
    """How often the interval holds the distance that n images have on average."""
    reference = ReferenceStatistics(torch.zeros(width).double(), spectrum(width).diag(), 10**6)
    drawings = counts(n, resamples, seed=0)
    found = []
    for seed in range(repeats):
        estimate = relative_fd(drawn(n, width, regime, seed), reference)
        found.append((estimate.value, *estimate.interval(drawings, 0.95)))
    truth = sum(estimate for estimate, _, _ in found) / repeats
    return sum(low < truth < high for _, low, high in found) / repeats


@pytest.mark.parametrize("regime", REGIMES)
def test_intervals_of_fd_hold_the_truth_in_95_per_cent(regime: str) -> None:
    assert 0.90 <= coverage_of_frechet(300, 6, regime, repeats=300, resamples=200) <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("width", [64, 128])
@pytest.mark.parametrize("regime", REGIMES)
def test_intervals_of_fd_hold_the_truth_at_full_width(width: int, regime: str) -> None:
    assert 0.90 <= coverage_of_frechet(2000, width, regime, repeats=300, resamples=500) <= 0.98


@pytest.mark.slow
def test_intervals_of_fd_at_the_floor_are_wide_enough() -> None:
    """Of what has the very law of the real: too wide there, never too narrow."""
    assert coverage_of_frechet(300, 6, "real", repeats=300, resamples=200) >= 0.93
    assert coverage_of_frechet(2000, 64, "real", repeats=100, resamples=200) >= 0.93


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.5, 0.8), (1.0, 0.6)])
def test_intervals_of_precision_and_its_kin_hold_the_truth(shift: float, scale: float) -> None:
    """Real images held fixed; what is drawn is as wide as the real or narrower, and off.

    Of recall the interval is too wide where much is recalled, as it says.
    """
    real = torch.randn(300, 6, generator=torch.Generator().manual_seed(10**6))
    drawings = counts(300, 200, seed=0)
    found, intervals = [], []
    for seed in range(300):
        noise = torch.randn(300, 6, generator=torch.Generator().manual_seed(seed))
        images = scale * noise + shift
        found.append(likeness(images, real))
        intervals.append(likeness_intervals(images, real, drawings, 0.95))
    for key in ("precision", "recall", "density", "coverage"):
        truth = sum(one[key] for one in found) / len(found)
        covered = sum(one[key][0] < truth < one[key][1] for one in intervals) / len(found)
        assert covered >= 0.90, key
        assert covered <= 0.98 or key in ("recall", "coverage"), key


@pytest.mark.parametrize("shift", [0.3, 0.6])
def test_intervals_of_kid_hold_the_truth_in_95_per_cent(shift: float) -> None:
    real = torch.randn(400, 6, generator=torch.Generator().manual_seed(10**6)).double()
    drawings = counts(400, 200, seed=0)
    found = []
    for seed in range(300):
        noise = torch.randn(400, 6, generator=torch.Generator().manual_seed(seed))
        estimate = kernel_estimate(real, noise + shift)
        found.append((estimate.value, *estimate.interval(drawings, 0.95)))
    truth = sum(estimate for estimate, _, _ in found) / len(found)
    covered = sum(low < truth < high for _, low, high in found) / len(found)
    assert 0.90 <= covered <= 0.98


def test_intervals_of_means_and_shares_hold_the_truth_in_95_per_cent() -> None:
    drawings = counts(200, 300, seed=0)
    mean, share = 0, 0
    for seed in range(400):
        generator = torch.Generator().manual_seed(seed)
        low, high = Estimate.mean(torch.rand(200, generator=generator)).interval(drawings, 0.95)
        mean += low < 0.5 < high
        low, high = proportion_interval(torch.rand(200, generator=generator) < 0.93, 0.95)
        share += low < 0.93 < high
    assert 0.90 <= mean / 400 <= 0.98
    assert 0.90 <= share / 400 <= 0.98


def test_a_wilson_interval_of_textbooks() -> None:
    """81 of 263: Newcombe (1998), table I, method 3."""
    low, high = proportion_interval(torch.arange(263) < 81, 0.95)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)


def test_a_perfect_share_has_an_interval_below_it() -> None:
    low, high = proportion_interval(torch.ones(2000, dtype=torch.bool), 0.95)
    assert 0.99 < low < 1
    assert high == 1


def test_influences_are_the_derivative_of_the_distance() -> None:
    """Against a step: an image counts a little more, and the distance moves by its influence."""
    features = drawn(400, 4, "far", seed=1)
    reference = ReferenceStatistics(torch.zeros(4).double(), spectrum(4).diag(), 10**6)
    found = relative_fd(features, reference).influences
    even, step = torch.full((400,), 1 / 400).double(), 1e-5
    for image in (0, 7, 399):
        weights = even * (1 - step)
        weights[image] += step
        moved = _weighted(reference, features, weights) - _weighted(reference, features, even)
        assert moved / step == pytest.approx(float(found[image]), rel=0.01, abs=0.01)


def _weighted(reference: ReferenceStatistics, features: Tensor, weights: Tensor) -> float:
    """The distance of a weighted set, by eigenvalues of C C' as they are."""
    mean = weights @ features
    centred = features - mean
    covariance = (centred.T * weights) @ centred
    roots = torch.linalg.eigvals(reference.covariance @ covariance).real.sqrt()
    apart = (mean - reference.mean).square().sum()
    return float(apart + reference.trace + covariance.trace() - 2 * roots.sum())


def test_the_order_of_images_is_nothing() -> None:
    features = drawn(100, 5, "far", seed=0)
    reference = ReferenceStatistics(torch.zeros(5).double(), spectrum(5).diag(), 10**6)
    found = relative_fd(features, reference).influences
    torch.testing.assert_close(relative_fd(features.flip(0), reference).influences, found.flip(0))


def test_too_few_images_for_a_full_covariance_have_finite_influences() -> None:
    """20 images in 64 dimensions, four of which say nothing of any image."""
    features = drawn(20, 64, "far", seed=0)
    features[:, :4] = 0
    reference = ReferenceStatistics.of(torch.cat([drawn(500, 64, "near", seed=1), features]))
    assert relative_fd(features, reference).influences.isfinite().all()


def test_resamples_are_the_same_for_every_cell_of_one_size() -> None:
    drawings = counts(50, 30, seed=0)
    assert drawings.shape == (30, 50)
    assert (drawings.sum(dim=1) == 50).all()
    assert torch.equal(drawings, counts(50, 30, seed=0))
    assert not torch.equal(drawings, counts(50, 30, seed=1))
