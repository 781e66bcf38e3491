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
    verdict,
)

LEVEL = 0.95
REACH = reach_of(LEVEL)


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


def test_verdicts_follow_the_direction_of_the_metric_and_the_interval() -> None:
    assert verdict((-0.2, -0.1), lower_is_better=True) == "better"
    assert verdict((-0.2, -0.1), lower_is_better=False) == "worse"
    assert verdict((0.1, 0.2), lower_is_better=True) == "worse"
    assert verdict((-0.2, 0.1), lower_is_better=True) == "unresolved"
    assert verdict((0.0, 0.1), lower_is_better=True) == "unresolved"


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
    """Pairs of sets of known laws: features that share most of their noise, as cells do."""

    def __init__(self, shift: float, width: int = 6):
        self.width = width
        self.reference = standard(width)
        self.shifts = torch.zeros(2, width)
        self.shifts[:, 0] = torch.tensor([0.5, 0.5 + shift])
        self.truth = float(self.shifts.square().sum(1).diff()) / width

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
            features = 0.8 * shared + 0.6 * own + shift
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
        verdicts = [verdict(one.around(reach), lower_is_better=True) for one in found]
        wrong += any(word != "unresolved" for word in verdicts)
    return wrong / tables


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    for shift in (0.0, 0.3):
        for metric, share in covered(60, n=300, shift=shift).items():
            assert share >= 0.87, (metric, shift)


def test_verdicts_on_equals_are_rare_in_a_table() -> None:
    assert false_tables(30, n=300, size=3) <= 0.05 + 2 * (0.05 * 0.95 / 30) ** 0.5


@pytest.mark.slow
@pytest.mark.parametrize("n", [500, 2000])
@pytest.mark.parametrize("shift", [0.0, 0.1, 0.5])
def test_intervals_hold_the_truth_in_many_worlds(n: int, shift: float) -> None:
    for metric, share in covered(600, n=n, shift=shift).items():
        assert 0.92 <= share <= 0.98, metric


@pytest.mark.slow
def test_verdicts_on_equals_are_rare_in_many_tables() -> None:
    assert false_tables(300, n=500, size=8) <= 0.05 + 2 * (0.05 * 0.95 / 300) ** 0.5


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
