"""Comparing sample sets: verdicts that are as often wrong as they say, and no oftener."""

import numpy as np
import pytest
import torch
from torch import Tensor

from mnist_diffusion.evaluation.estimates import Estimate, reach_of
from mnist_diffusion.evaluation.families import Family
from mnist_diffusion.evaluation.features import JudgedSet
from mnist_diffusion.evaluation.frechet import ReferenceStatistics, fd_infinity
from mnist_diffusion.evaluation.paired import (
    NETWORKS,
    Difference,
    Drawing,
    Pair,
    PairedComparisons,
    accuracy_difference,
    difference,
    pairs,
    unmatched,
    verdict_of,
)
from mnist_diffusion.evaluation.quantities import verdict
from mnist_diffusion.settings.judging import Margins

LEVEL = 0.95
REACH = reach_of(LEVEL)
SLOW = pytest.mark.slow
MARGINS = Margins(ratio=1.1, accuracy=0.01)


def changed(one: Tensor, other: Tensor) -> Difference:
    return accuracy_difference(one, other, torch.zeros(len(one)))


def right(both: int, first: int, second: int, neither: int) -> tuple[Tensor, Tensor]:
    """Which images are right in each of two sets, by how many pairs come out each way."""
    one = [True] * (both + first) + [False] * (second + neither)
    other = [True] * both + [False] * first + [True] * second + [False] * neither
    return torch.tensor(one), torch.tensor(other)


def test_accuracy_on_a_published_example() -> None:
    """Ratings of a prime minister (Agresti 2002, Categorical Data Analysis, section 10.1).

    880 of 1600 approve later, 944 first; the book's interval is (-0.059, -0.021), z² is 17.36.
    """
    found = changed(*right(794, 86, 150, 570))
    assert found.estimate.value == pytest.approx(-0.04)
    assert found.around(REACH) == pytest.approx((-0.059, -0.021), abs=5e-4)
    assert found.p == pytest.approx(3.7e-5, rel=0.2)


def test_accuracy_where_no_pair_or_one_differs() -> None:
    same = changed(*right(90, 0, 0, 10))
    assert same.estimate.value == 0
    assert same.p == 1
    # half an image in each of the two ways to differ: 1 / 102 of 102
    assert same.around(REACH) == pytest.approx((-1.96 / 102, 1.96 / 102), rel=1e-4)
    # one heads of one coin: as two-sided as can be
    assert changed(*right(90, 1, 0, 9)).p == 1
    # five of five: 2 / 32
    assert changed(*right(90, 5, 0, 5)).p == pytest.approx(1 / 16)


def test_equal_sets_differ_by_nothing() -> None:
    one = Estimate.mean(torch.arange(9.0), torch.zeros(9))
    found = difference(one, one)
    assert (found.p, found.around(REACH)) == (1.0, (0.0, 0.0))


def test_interval_and_p_agree_on_zero() -> None:
    values = torch.tensor([-1.0, 1.0] * 200)
    for off in (0.5, 1.9, 2.1, 5.0, -1.9, -2.1):
        error = Estimate.mean(values, torch.zeros(400)).error
        moved = Estimate.mean(values + off * error, torch.zeros(400))
        found = difference(moved, Estimate.mean(torch.zeros(400), torch.zeros(400)))
        low, high = found.around(REACH)
        assert (found.p < 1 - LEVEL) == (low > 0 or high < 0)


def judged(
    features: Tensor,
    labels: Tensor,
    *,
    seen: Tensor = None,
    second: Tensor = None,
) -> JudgedSet:
    seen = labels if seen is None else seen
    probabilities = torch.nn.functional.one_hot(seen.clamp(min=0), 10).double()
    second = features if second is None else second
    return JudgedSet(features, probabilities, second, labels)


def named(**cells: tuple[int, float, int]) -> dict[str, Drawing]:
    """Cells by their count (negative: no digits were asked for), guidance and seed."""
    found = {}
    for name, (count, guidance, seed) in cells.items():
        labels = torch.arange(count) % 10 if count > 0 else torch.full((-count,), -1)
        found[name] = Drawing(labels, guidance, seed)
    return found


def test_cells_meet_the_baselines_nearest_to_them() -> None:
    cells = named(
        free=(-30, 0, 0),
        base=(30, 1, 0),
        base_seed1=(30, 1, 1),
        strong=(30, 2, 0),
        a=(30, 1, 0),
        a_seed1=(20, 1, 1),
        a_strong=(30, 2, 0),
        a_seed2=(30, 1, 2),
        a_wild=(30, 9, 0),
    )
    found = pairs(cells, ["base", "base_seed1", "strong"], cells)
    assert [(p.cell, p.baseline, p.n) for p in found] == [
        ("a", "base", 30),
        ("a_seed1", "base_seed1", 20),
        ("a_strong", "strong", 30),
        ("a_seed2", "base", 30),
        ("a_seed2", "base_seed1", 30),
        ("a_wild", "base", 30),
        ("a_wild", "strong", 30),
    ]
    assert unmatched(cells, ["base", "base_seed1", "strong"], cells) == ["free"]


def test_two_baselines_meet_once() -> None:
    cells = named(one=(500, 1, 0), two=(30, 1, 0), other=(30, 1, 0))
    found = pairs(["other", "one", "two"], ["one", "two"], cells)
    assert [(p.cell, p.baseline) for p in found] == [
        ("other", "one"),
        ("other", "two"),
        ("one", "two"),
    ]


def test_the_same_digits_in_another_order_are_not_the_same_question() -> None:
    cells = {
        "up": Drawing(torch.arange(20) % 10, 1.0, 0),
        "down": Drawing(torch.arange(20).flip(0) % 10, 1.0, 0),
    }
    assert unmatched(cells, ["up"], cells) == ["down"]


class World:
    """Pairs of sets of known laws: features that share much of their noise, as cells do."""

    def __init__(self, shift: float, width: int = 6, shared: float = 0.64):
        self.width, self.share = width, shared
        self.reference = standard(width)
        self.shifts = torch.zeros(2, width)
        self.shifts[:, 0] = torch.tensor([0.5, 0.5 + shift])
        self.truth = float(self.shifts.square().sum(1).diff()) / width
        self.relative = self.truth / (float(self.shifts[0].square().sum()) / width)

    def compared(
        self, n: int, generator: torch.Generator, accuracies: tuple[float, float]
    ) -> PairedComparisons:
        shared = torch.randn(n, self.width, generator=generator)
        labels = torch.arange(n) % 10
        luck = torch.rand(n, generator=generator)
        cells = {}
        for name, shift, accuracy in zip("ab", self.shifts, accuracies, strict=True):
            own = torch.randn(n, self.width, generator=generator)
            unlucky = 0.5 * luck + 0.5 * torch.rand(n, generator=generator)
            seen = torch.where(unlucky < np.quantile(SUM, accuracy), labels, (labels + 1) % 10)
            features = self.share**0.5 * shared + (1 - self.share) ** 0.5 * own + shift
            cells[name] = judged(features, labels, seen=seen)
        return self.paired(cells)

    def paired(self, cells: dict[str, JudgedSet]) -> PairedComparisons:
        classes = dict.fromkeys(map(str, range(10)), self.reference)
        return PairedComparisons(
            cells, dict.fromkeys(NETWORKS.values(), self.reference), classes, 0
        )


def standard(width: int) -> ReferenceStatistics:
    """A standard normal."""
    eye = torch.eye(width, dtype=torch.float64)
    return ReferenceStatistics(eye[0] * 0, eye, 10_000)


SUM = np.random.default_rng(1).uniform(size=(2, 200_000)).mean(axis=0)
"""The law of the mean of two uniform numbers."""


def covered(worlds: int, n: int, shift: float) -> dict[str, float]:
    """How often the intervals hold the true difference."""
    world, generator = World(shift), torch.Generator().manual_seed(7)
    truths = {"fd_infinity": world.truth, "class_fd": world.truth, "accuracy": shift / 10}
    hits = dict.fromkeys(truths, 0)
    for _ in range(worlds):
        compared = world.compared(n, generator, (0.9, 0.9 + shift / 10))
        found = compared.differences(Pair("b", "a", n))
        for metric, truth in truths.items():
            low, high = found[metric].around(REACH)
            hits[metric] += low <= truth <= high
    return {metric: count / worlds for metric, count in hits.items()}


def false_tables(tables: int, n: int, size: int) -> float:
    """In how many tables of cells that are all equal any verdict is given under any metric."""
    world, generator = World(0.0), torch.Generator().manual_seed(11)
    wrong = 0
    for _ in range(tables):
        found = [
            one
            for _ in range(size)
            for one in world.compared(n, generator, (0.9, 0.9))
            .differences(Pair("b", "a", n))
            .values()
        ]
        reach = Family.of([one.estimate for one in found], seed=0).reach(LEVEL)
        verdicts = [verdict(one.around(reach), 0.0, lower_is_better=True) for one in found]
        wrong += any(word != "unresolved" for word in verdicts)
    return wrong / tables


def judged_distance(world: World, n: int, generator: torch.Generator) -> str:
    """The verdict on FD∞ of b against a, in a table that has all metrics."""
    differences = world.compared(n, generator, (0.9, 0.9)).differences(Pair("b", "a", n))
    reach = Family.of([one.estimate for one in differences.values()], seed=0).reach(LEVEL)
    return verdict_of("fd_infinity", differences["fd_infinity"], reach, MARGINS)


@pytest.mark.parametrize(
    ("shift", "n", "expected"),
    [
        (-0.1, 4000, "better"),
        (0.1, 4000, "worse"),
        (0.0, 4000, "equivalent"),
        (0.0, 100, "unresolved"),
        (0.02, 1000, "unresolved"),
    ],
)
def test_every_verdict_occurs_between_cells(shift: float, n: int, expected: str) -> None:
    """With few images nothing is settled, and nothing is equivalent that might be 10 % off."""
    world = World(shift, shared=0.96)
    assert judged_distance(world, n, torch.Generator().manual_seed(1)) == expected


def falsely_equivalent(worlds: int, n: int) -> float:
    """How often sets are called equivalent whose distances differ by the margin."""
    world, generator, wrong = World(0.5 * 1.1**0.5 - 0.5, shared=0.96), torch.Generator(), 0
    assert 1 + world.relative == pytest.approx(MARGINS.ratio, rel=1e-5)
    generator.manual_seed(13)
    for _ in range(worlds):
        found = world.compared(n, generator, (0.9, 0.9)).differences(Pair("b", "a", n))
        wrong += verdict_of("fd_infinity", found["fd_infinity"], REACH, MARGINS) == "equivalent"
    return wrong / worlds


@pytest.mark.parametrize(("worlds", "n"), [(60, 1500), pytest.param(500, 3000, marks=SLOW)])
def test_what_differs_by_the_margin_is_rarely_called_equivalent(worlds: int, n: int) -> None:
    assert falsely_equivalent(worlds, n) <= 0.05


def test_the_ratio_leaves_out_1_where_the_difference_leaves_out_0() -> None:
    """By hand too: 3 ± 0.3 over an independent 2 ± 0.4 solves (3 - 2 r)² = k² (0.3² + 0.4² r²)."""
    apart = torch.tensor([1.0, 1.0, -1.0, -1.0]), torch.tensor([1.0, -1.0, 1.0, -1.0])
    one = Estimate(3.0, 3**0.5 * 0.6 * apart[0] / 2, torch.zeros(4))
    other = Estimate(2.0, 3**0.5 * 0.8 * apart[1] / 2, torch.zeros(4))
    assert (one.error, other.error) == (pytest.approx(0.3), pytest.approx(0.4))
    for r in difference(one, other).ratio(1.5):
        assert (3 - 2 * r) ** 2 == pytest.approx(1.5**2 * (0.09 + 0.16 * r**2))
    for reach in (1.9, 1.99, 2.01, 2.1):
        low, high = difference(one, other).around(reach)
        least, most = difference(one, other).ratio(reach)
        assert (least <= 1 <= most) == (low <= 0 <= high) == (reach > 2)
    assert difference(one, other).ratio(5.1) is None
    assert difference(one, one).ratio(3.0) == (pytest.approx(1), pytest.approx(1))


def test_accuracies_are_equivalent_within_points() -> None:
    one, other = right(900, 2, 2, 96)
    found = accuracy_difference(one, other, torch.zeros(1000))
    assert verdict_of("accuracy", found, REACH, MARGINS) == "equivalent"
    assert verdict_of("accuracy", found, 6.0, MARGINS) == "unresolved"
    assert verdict_of("accuracy", changed(*right(700, 200, 0, 100)), REACH, MARGINS) == "better"


def test_what_may_be_0_has_no_equivalent() -> None:
    near = Estimate.mean(torch.tensor([-1.0, 1.1] * 50), torch.zeros(100))
    assert difference(near, near).ratio(REACH) is None
    assert verdict_of("fd_infinity", difference(near, near), REACH, MARGINS) == "unresolved"


def test_a_difference_as_a_share_has_the_luck_of_what_it_is_a_share_of() -> None:
    """Of its intervals 92 to 98 % hold the truth; with the baseline taken for exact far fewer."""
    world, generator = World(0.1, shared=0.96), torch.Generator().manual_seed(17)
    held = exact = 0
    for _ in range(100):
        found = world.compared(400, generator, (0.9, 0.9)).differences(Pair("b", "a", 400))
        one = found["fd_infinity"]
        assert one.relative is not None
        low, high = one.relative.interval(LEVEL)
        held += low <= world.relative <= high
        off = one.estimate.value / one.baseline.value - world.relative
        exact += abs(off) <= REACH * one.estimate.error / one.baseline.value
    assert held >= 90 and exact < held


def test_there_is_no_share_of_what_is_not_above_0() -> None:
    one, other = (Estimate.mean(k + torch.arange(4.0), torch.zeros(4)) for k in (0, -9))
    assert difference(one, other).relative is None
    assert difference(other, one).relative is not None


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    for shift in (0.0, 0.3):
        for metric, share in covered(60, n=300, shift=shift).items():
            assert share >= 0.87, (metric, shift)


@pytest.mark.slow
@pytest.mark.parametrize("n", [500, 2000])
@pytest.mark.parametrize("shift", [0.0, 0.1, 0.5])
def test_intervals_hold_the_truth_in_many_worlds(n: int, shift: float) -> None:
    for metric, share in covered(600, n=n, shift=shift).items():
        assert 0.92 <= share <= 0.98, metric


@pytest.mark.parametrize(
    ("tables", "n", "size"), [(30, 300, 3), pytest.param(300, 500, 8, marks=SLOW)]
)
def test_verdicts_on_equals_are_rare(tables: int, n: int, size: int) -> None:
    assert false_tables(tables, n, size) <= 0.05 + 2 * (0.05 * 0.95 / tables) ** 0.5


def test_pairing_is_worth_having() -> None:
    """What both share cancels: of independent sets the difference is told less surely."""
    world, generator = World(0.1), torch.Generator().manual_seed(3)
    n = 400
    paired = world.compared(n, generator, (0.9, 0.9))
    other = world.compared(n, generator, (0.9, 0.9))
    apart = world.paired({"a": paired._judged["a"], "b": other._judged["b"]})

    def error(compared: PairedComparisons) -> float:
        return compared.differences(Pair("b", "a", n))["fd_infinity"].estimate.error

    assert error(paired) < 0.8 * error(apart)


def test_a_comparison_is_of_the_first_images_of_both() -> None:
    world, generator = World(0.3), torch.Generator().manual_seed(5)
    compared = world.compared(300, generator, (0.9, 0.9))
    found = compared.differences(Pair("b", "a", 100))["fd_infinity"].estimate.value
    labels = torch.arange(100) % 10
    distances = [
        fd_infinity(compared._judged[name].features[:100], labels, world.reference, seed=0).value
        for name in "ab"
    ]
    assert found == pytest.approx(distances[1] - distances[0])


def test_labels_count_only_where_digits_were_asked_for() -> None:
    labels = torch.full((50,), -1)
    features = torch.randn(2, 50, 3, generator=torch.Generator().manual_seed(0))
    cells = {name: judged(part, labels) for name, part in zip("ab", features, strict=True)}
    references = dict.fromkeys(NETWORKS.values(), standard(3))
    compared = PairedComparisons(cells, references, {}, 0)
    assert set(compared.differences(Pair("b", "a", 50))) == {"fd_infinity", "second_fd_infinity"}


def test_each_network_measures_with_features_and_reference_of_its_own() -> None:
    """The judge sees two equal sets, the second network one that is nearer to what it knows."""
    generator = torch.Generator().manual_seed(9)
    same, near = torch.randn(200, 3, generator=generator), torch.randn(200, 5, generator=generator)
    labels = torch.full((200,), -1)
    cells = {"a": judged(same, labels, second=near + 1), "b": judged(same, labels, second=near)}
    references = {"classifier": standard(3), "autoencoder": standard(5)}
    found = PairedComparisons(cells, references, {}, 0).differences(Pair("b", "a", 200))
    assert found["fd_infinity"].estimate.value == 0
    means = near.mean(0)
    expected = float(means.square().sum() - (means + 1).square().sum()) / 5
    difference = found["second_fd_infinity"].estimate
    assert abs(difference.value - expected) < difference.error
