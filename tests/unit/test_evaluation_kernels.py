"""KID and the energy distance, against their papers' words."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from test_evaluation_estimates import unasked
from test_evaluation_likeness import normal
from torch import Tensor

from mnist_diffusion.evaluation import kernels
from mnist_diffusion.evaluation.estimates import Estimate
from mnist_diffusion.evaluation.kernels import kernel_distances, meet, within


class Known:
    """Real features, and what they are to one another."""

    def __init__(self, real: Tensor):
        self.real, self.within = real, within(real)

    def found(self, drawn: Tensor, labels: Tensor | None = None) -> dict[str, Estimate]:
        labels = unasked(len(drawn)) if labels is None else labels
        return kernel_distances(drawn, labels, meet(drawn, self.real), self.within)


def found(drawn: Tensor, real: Tensor) -> dict[str, Estimate]:
    return Known(real).found(drawn)


def cubic(x: np.ndarray, y: np.ndarray) -> float:
    return float((x @ y / len(x) + 1) ** 3)


def distant(x: np.ndarray, y: np.ndarray) -> float:
    return -float(np.linalg.norm(x - y))


def mmd(real: np.ndarray, drawn: np.ndarray, kernel) -> float:
    """Gretton et al. 2012, the unbiased estimator term by term."""
    m, n = len(real), len(drawn)
    total = sum(kernel(real[i], real[j]) for i in range(m) for j in range(m) if i != j)
    among = sum(kernel(drawn[i], drawn[j]) for i in range(n) for j in range(n) if i != j)
    across = sum(kernel(x, y) for x in real for y in drawn)
    return total / (m * (m - 1)) + among / (n * (n - 1)) - 2 * across / (m * n)


def test_both_are_unbiased_mmds_by_their_kernels() -> None:
    real, drawn = normal(20, 4, 0), normal(15, 4, 1, shift=0.5)
    one, other = real.double().numpy(), drawn.double().numpy()
    unit = cdist(one, one).sum() / (20 * 19)
    assert found(drawn, real)["kid"].value == pytest.approx(mmd(one, other, cubic), rel=1e-4)
    expected = mmd(one, other, distant) / unit
    assert found(drawn, real)["energy"].value == pytest.approx(expected, rel=1e-4)


def test_parts_of_the_real_digits_stand_for_all_pairs_of_them() -> None:
    """Three blocks and a rest: the same expectation, and nearly the same number."""
    real = normal(6500, 8, 0)
    apart = torch.cdist(real[:3000], real[3000:6000])
    assert within(real)["energy"] == pytest.approx(-float(apart.mean()), rel=0.003)


@pytest.mark.parametrize("name", ["kid", "energy"])
def test_the_nearest_and_the_means_are_of_all_that_are_met(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over several blocks of real digits, of which any may have the nearest."""
    monkeypatch.setattr(kernels, "BLOCK", 150)
    drawn, real = normal(260, 5, 1), normal(700, 5, 0)
    met = meet(drawn, real)
    apart = torch.cdist(drawn.double(), real.double())
    torch.testing.assert_close(met.nearest.double(), apart.amin(dim=1), atol=1e-3, rtol=1e-3)
    expected = {"energy": -apart, "kid": (drawn.double() @ real.double().T / 5 + 1) ** 3}[name]
    torch.testing.assert_close(met.kernels[name], expected.mean(dim=1), atol=1e-4, rtol=1e-4)
    few = torch.tensor([3, 255])
    assert met.chosen(few).nearest.equal(met.nearest[few])


def test_as_many_of_each_digit_are_no_distance_apart_either() -> None:
    """Far classes, a few of each: pairs of different images are too seldom of one digit."""
    centres = 5 * normal(10, 6, 99)
    known = Known(torch.cat([centres + normal(10, 6, seed) for seed in range(200)]))
    labels = torch.arange(40) % 10
    drawn = [centres[labels] + normal(40, 6, seed) for seed in range(1000, 1040)]
    asked = torch.tensor([known.found(one, labels)["energy"].value for one in drawn])
    assert abs(asked.mean()) < 3 * asked.std() / len(asked) ** 0.5
    pairs = torch.tensor([known.found(one)["energy"].value for one in drawn])
    assert pairs.mean() < -10 * asked.std() / len(asked) ** 0.5


@pytest.mark.parametrize("name", ["kid", "energy"])
def test_an_image_moves_a_distance_as_when_it_is_left_out(name: str) -> None:
    """Against the jackknife."""
    n = 60
    real, drawn = normal(500, 4, 0), normal(n, 4, 1, shift=0.5)
    whole = found(drawn, real)[name]
    kept = [torch.cat([drawn[:k], drawn[k + 1 :]]) for k in range(n)]
    lost = torch.tensor([whole.value - found(one, real)[name].value for one in kept]).double()
    expected = (n - 1) * (lost - lost.mean())
    spread = expected.std()
    torch.testing.assert_close(whole.influences / spread, expected / spread, atol=0.15, rtol=0.05)


@pytest.mark.parametrize("shift", [0.5, 1.0])
def test_intervals_hold_the_truth_in_95_per_cent(shift: float) -> None:
    known = Known(normal(1000, 6, 10**6))
    drawn = [known.found(normal(400, 6, seed, shift)) for seed in range(150)]
    truth = known.found(normal(8000, 6, 10**7, shift))
    for name in ("kid", "energy"):
        intervals = [one[name].interval(0.95) for one in drawn]
        held = sum(low < truth[name].value < high for low, high in intervals) / len(drawn)
        assert 0.90 <= held <= 0.99, name
