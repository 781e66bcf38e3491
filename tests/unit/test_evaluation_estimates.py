"""Standard errors and intervals, by how often they hold the true value on simulated images.

The truth is that of the law the images are drawn from, not what as many images score on average.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from mnist_diffusion.dataset.mnist import read_digits
from mnist_diffusion.dataset.pixels import to_tensor
from mnist_diffusion.evaluation.class_fd import class_fd, per_class
from mnist_diffusion.evaluation.estimates import Estimate, halves, proportion_interval
from mnist_diffusion.evaluation.frechet import ReferenceStatistics, fd_infinity, relative_fd

LEVEL = 0.95
REGIMES = {"near": (0.1, 1.05), "half way": (0.2, 1.1), "far": (0.5, 1.4)}
"""Shift and scale of what is drawn, both in standard deviations: the distance of the laws, relative
to the variance, is shift² + (scale - 1)², of 0.0125, 0.05 and 0.41."""


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def unasked(n: int) -> Tensor:
    return torch.full((n,), -1)


def spectrum(width: int) -> Tensor:
    """Variances that fall as those of real features do."""
    return torch.exp(-4 * torch.arange(width).double() / width)


def gaussian(n: int, width: int, regime: str, seed: int) -> Tensor:
    shift, scale = {**REGIMES, "real": (0.0, 1.0)}[regime]
    noise = torch.randn(n, width, dtype=torch.double, generator=generator(seed))
    return spectrum(width).sqrt() * (scale * noise + shift)


def known(width: int) -> ReferenceStatistics:
    return ReferenceStatistics(torch.zeros(width).double(), spectrum(width).diag(), 10**6)


def covered(truth: float, estimates: Iterator[Estimate]) -> float:
    """How often an interval of 95 % holds the truth."""
    intervals = [one.interval(LEVEL) for one in estimates]
    return sum(low < truth < high for low, high in intervals) / len(intervals)


def infinities(n: int, width: int, regime: str, repeats: int) -> Iterator[Estimate]:
    for seed in range(repeats):
        yield fd_infinity(gaussian(n, width, regime, seed), unasked(n), known(width), seed=0)


def distance_of_laws(regime: str) -> float:
    shift, scale = REGIMES[regime]
    return shift**2 + (scale - 1) ** 2


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize(
    ("n", "width", "repeats", "most"),
    [(400, 8, 200, 0.98), pytest.param(2000, 128, 300, 0.97, marks=pytest.mark.slow)],
)
def test_intervals_of_fd_infinity_hold_the_distance_of_the_laws(
    regime: str, n: int, width: int, repeats: int, most: float
) -> None:
    found = covered(distance_of_laws(regime), infinities(n, width, regime, repeats))
    assert 0.90 <= found <= most


def test_fd_of_few_images_is_never_so_near_and_fd_infinity_is() -> None:
    """At the full width of 128: the bias is many errors, and gone."""
    n, truth = 2000, distance_of_laws("near")
    features = [gaussian(n, 128, "near", seed) for seed in range(6)]
    plain = [relative_fd(one, unasked(n), known(128)) for one in features]
    assert all(one.value - truth > 10 * one.error for one in plain)
    found = [fd_infinity(one, unasked(n), known(128), seed=0) for one in features]
    assert abs(np.mean([one.value for one in found]) - truth) < 2 * found[0].error


def random_filters(images: Tensor) -> Tensor:
    """(n, 64) features that need no training, of mean 0 and variance 1."""
    kernels = torch.randn(16, 1, 5, 5, generator=generator(0))
    kernels -= kernels.mean(dim=(2, 3), keepdim=True)
    answers = torch.nn.functional.conv2d(images, kernels, stride=2).relu()
    pooled = torch.nn.functional.avg_pool2d(answers, 6).flatten(1).double()
    return (pooled - pooled.mean(dim=0)) / pooled.std(dim=0)


class Pool:
    """Features of real digits, and of so many worse ones that sets can be drawn from them."""

    def __init__(self, raw) -> None:
        digits = read_digits(raw, "train")
        real = random_filters(to_tensor(digits.images[:20_000]))
        labels = torch.from_numpy(digits.labels[:20_000])
        self.reference = ReferenceStatistics.of(real)
        of = {str(digit): real[labels == digit] for digit in range(10)}
        self.classes = {digit: ReferenceStatistics.of(own) for digit, own in of.items()}
        each = min(len(own) for own in of.values())
        self.features = torch.cat([0.9 * own[:each] + 0.1 for own in of.values()])
        self.labels = torch.arange(10).repeat_interleave(each)

    def drawn(self, n: int, seed: int) -> Tensor:
        """Indices of as many of each digit."""
        chosen = torch.rand(10, len(self.labels) // 10, generator=generator(seed)).argsort(dim=1)
        first = torch.arange(10)[:, None] * chosen.shape[1]
        return (first + chosen)[:, : n // 10].flatten()

    def estimates(self, n: int, repeats: int, of: Callable[..., Estimate]) -> Iterator[Estimate]:
        for seed in range(repeats):
            chosen = self.drawn(n, seed)
            yield of(self.features[chosen], self.labels[chosen])

    def fd(self, features: Tensor, labels: Tensor) -> Estimate:
        return fd_infinity(features, labels, self.reference, seed=0)

    def by_class(self, features: Tensor, labels: Tensor) -> Estimate:
        found = class_fd(labels, per_class(features, labels, self.classes, seed=0))
        assert found is not None
        return found


@pytest.fixture(scope="module")
def pool(raw_mnist) -> Pool:
    return Pool(raw_mnist)


def test_stratified_errors_are_narrower_and_hold_the_truth_of_real_features(pool: Pool) -> None:
    truth = pool.fd(pool.features, pool.labels).value
    found = list(pool.estimates(1000, 60, pool.fd))
    assert covered(truth, iter(found)) >= 0.88
    spread = torch.tensor([one.value for one in found]).std()
    errors = torch.tensor([one.error for one in found]).mean()
    assert 0.8 < errors / spread < 1.35
    plain = [Estimate(one.value, one.influences, unasked(1000)).error for one in found]
    assert errors < 0.8 * torch.tensor(plain).mean()


def test_what_is_left_of_the_bias_of_fd_infinity_is_a_small_part_of_its_error(pool: Pool) -> None:
    """Each set's luck to first order is known and taken off, so that 20 sets are enough.

    In the features of a laptop run's judge (128 of them, 30 sets each of 1,000 of 10,000 real
    digits, and of the digits of eight cells of FD∞ 1.1 to 17.6 %) it was 0.13 of an error at the
    most, by the second network too, and intervals held the truth in 95 %.
    """
    laws = relative_fd(pool.features, pool.labels, pool.reference)
    left, plain = [], []
    for seed in range(20):
        chosen = pool.drawn(1000, seed)
        own = pool.features[chosen], pool.labels[chosen]
        truth = laws.value + float(laws.influences[chosen].mean())
        one = pool.fd(*own)
        left.append((one.value - truth) / one.error)
        plain.append((relative_fd(*own, pool.reference).value - truth) / one.error)
    assert abs(np.mean(left)) < 0.2
    assert np.mean(plain) > 1


@pytest.mark.slow
@pytest.mark.parametrize(("of", "most"), [("fd", 0.98), ("by_class", 1.0)])
def test_intervals_of_real_features_hold_the_truth_in_95_per_cent(
    pool: Pool, of: str, most: float
) -> None:
    """Of what the pool as a whole is, by FD∞ and by the class-wise one.

    Intervals of the class-wise one are rather too wide: what may be left of its bias is in them. In
    the judge's features of the 55,000 training digits (128 of them, four ways of making digits
    worse, 25 sets each of 100, 200 and 400 images a class) they held the truth in 92 to 100 %, 98 %
    on average; by the luck of the images alone it was 64 to 80 % where there were no outliers.
    """
    score = getattr(pool, of)
    truth = score(pool.features, pool.labels).value
    assert 0.90 <= covered(truth, pool.estimates(2000, 200, score)) <= most


def test_halves_of_a_class_each_are_what_makes_fd_infinity_right() -> None:
    """Ten far classes of the very law of the real: random halves have other numbers of each."""
    labels, centres = torch.arange(400) % 10, 3 * torch.randn(10, 5, generator=generator(9))
    whole = torch.cat([centres + torch.randn(10, 5, generator=generator(k)) for k in range(2000)])
    reference = ReferenceStatistics.of(whole)
    drawn = [centres[labels] + torch.randn(400, 5, generator=generator(-k)) for k in range(1, 31)]
    by_class = [fd_infinity(one, labels, reference, seed=0) for one in drawn]
    at_random = [fd_infinity(one, unasked(400), reference, seed=0) for one in drawn]
    off = [abs(np.mean([one.value for one in found])) for found in (by_class, at_random)]
    assert off[0] < 0.2 * off[1]


@pytest.mark.parametrize("counts", [(40, 40, 40), (31, 8, 5)])
def test_halves_part_every_class_in_two(counts: tuple[int, ...]) -> None:
    labels = torch.arange(3).repeat_interleave(torch.tensor(counts))
    first, second, third, fourth = halves(labels, seed=0)
    for one, other in ((first, second), (third, fourth)):
        assert torch.cat([one, other]).sort().values.equal(torch.arange(len(labels)))
        apart = torch.bincount(labels[one]) - torch.bincount(labels[other])
        assert apart.abs().max() <= 1
    assert not first.sort().values.equal(third.sort().values)
    assert halves(labels, seed=0)[2].equal(third)


def test_the_error_of_a_stratified_mean_by_hand() -> None:
    """Classes of three values and of two, far apart: only what is within them counts."""
    values = torch.tensor([1.0, 2.0, 3.0, 10.0, 14.0])
    labels = torch.tensor([0, 0, 0, 1, 1])
    # variances 1 and 8 within the classes
    expected = (3 * 1 + 2 * 8) ** 0.5 / 5
    assert Estimate.mean(values, labels).error == pytest.approx(expected)
    plain = Estimate.mean(values, unasked(5)).error
    assert plain == pytest.approx(float(values.std()) / 5**0.5)


def test_a_class_of_one_image_is_no_stratum() -> None:
    values = torch.tensor([1.0, 2.0, 5.0])
    found = Estimate.mean(values, torch.tensor([0, 0, 1])).error
    assert found == pytest.approx(float(values.std()) / 3**0.5)


def test_errors_of_stratified_means_and_ratios_hold_the_truth() -> None:
    """Classes whose means lie far apart: what differs between them is no luck.

    Parts and wholes vary together, so that much of the luck of one is that of the other.
    """
    labels = torch.arange(100) % 10
    means, ratios = [], []
    for seed in range(300):
        values = labels + torch.rand(100, generator=generator(seed))
        wholes = 0.5 + values + torch.rand(100, generator=generator(seed + 10_000))
        means.append(Estimate.mean(values, labels))
        ratios.append(Estimate.ratio(values, wholes, labels))
    assert 0.90 <= covered(5.0, iter(means)) <= 0.98
    assert 0.90 <= covered(5.0 / 6.0, iter(ratios)) <= 0.98
    assert Estimate.ratio(torch.zeros(3), torch.zeros(3), unasked(3)).value == 0


def test_differences_keep_what_both_share() -> None:
    one, noise = torch.randn(2, 500, generator=generator(0)).double()
    first, second = (Estimate.mean(v, unasked(500)) for v in (one + 0.1 * noise, one))
    found = first.less(second)
    assert found.error == pytest.approx(0.1 * float(noise.std()) / 500**0.5)
    shared = float((first.contributions * second.contributions).sum())
    expected = first.error**2 + second.error**2 - 2 * shared
    assert found.error**2 == pytest.approx(expected)


def test_a_wilson_interval_of_textbooks() -> None:
    """81 of 263: Newcombe (1998), table I, method 3."""
    low, high = proportion_interval(torch.arange(263) < 81, LEVEL)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)


def test_a_perfect_share_has_an_interval_below_it() -> None:
    low, high = proportion_interval(torch.ones(2000, dtype=torch.bool), LEVEL)
    assert 0.99 < low < 1
    assert high == 1


def test_influences_are_the_derivative_of_the_distance() -> None:
    """Against a step: an image counts a little more, and the distance moves by its influence."""
    features, reference = gaussian(400, 4, "far", seed=1), known(4)
    found = relative_fd(features, unasked(400), reference).scaled(reference.trace).influences
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


def test_fd_infinity_is_twice_the_whole_less_the_halves() -> None:
    features, reference = gaussian(200, 4, "far", seed=1), known(4)
    parts = [relative_fd(features[own], unasked(100), reference) for own in halves(unasked(200), 3)]
    whole = relative_fd(features, unasked(200), reference)
    found = fd_infinity(features, unasked(200), reference, seed=3)
    assert found.value == pytest.approx(2 * whole.value - np.mean([one.value for one in parts]))
    assert found.error == whole.error


def test_too_few_images_for_a_full_covariance_have_finite_influences() -> None:
    """20 images in 64 dimensions, four of which say nothing of any image."""
    features = gaussian(20, 64, "far", seed=0)
    features[:, :4] = 0
    reference = ReferenceStatistics.of(torch.cat([gaussian(500, 64, "near", seed=1), features]))
    assert fd_infinity(features, unasked(20), reference, seed=0).influences.isfinite().all()
