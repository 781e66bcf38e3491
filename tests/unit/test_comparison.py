"""Comparing sample sets: verdicts that are as often wrong as they say, and no oftener."""

from itertools import combinations

import numpy as np
import pytest
import torch
from torch import Tensor

from mnist_diffusion.evaluation.features import JudgedSet
from mnist_diffusion.evaluation.frechet import ReferenceStatistics, frechet_distance
from mnist_diffusion.evaluation.paired import (
    NETWORKS,
    Drawing,
    Pair,
    PairedComparisons,
    accuracy_difference,
    difference,
    holm,
    pairs,
    unmatched,
    verdict,
)

LEVEL = 0.95


def test_holm_on_a_published_example() -> None:
    """R's p.adjust(c(.01, .04, .03, .005), "holm"), which Wikipedia works through by hand."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_is_the_closed_test_of_bonferroni() -> None:
    """Marcus, Peritz & Gabriel 1976: p adjusted is the largest over all families it is in."""
    generator = np.random.default_rng(0)
    for _ in range(20):
        p = generator.uniform(0, 0.3, 5).tolist()
        families = [set(f) for size in range(1, 6) for f in combinations(range(5), size)]
        expected = [
            max(min(1.0, len(f) * min(p[k] for k in f)) for f in families if place in f)
            for place in range(5)
        ]
        assert holm(p) == pytest.approx(expected)


def test_holm_of_nothing_and_of_one() -> None:
    assert holm([]) == []
    assert holm([0.2]) == [0.2]


def right(both: int, first: int, second: int, neither: int) -> tuple[Tensor, Tensor]:
    """Which images are right in each of two sets, by how many pairs come out each way."""
    one = [True] * (both + first) + [False] * (second + neither)
    other = [True] * both + [False] * first + [True] * second + [False] * neither
    return torch.tensor(one), torch.tensor(other)


def test_accuracy_on_a_published_example() -> None:
    """Ratings of a prime minister (Agresti 2002, Categorical Data Analysis, section 10.1).

    880 of 1600 approve later, 944 first; the book's interval is (-0.059, -0.021), z² is 17.36.
    """
    found = accuracy_difference(*right(794, 86, 150, 570), LEVEL)
    assert found.value == pytest.approx(-0.04)
    assert found.interval == pytest.approx((-0.059, -0.021), abs=5e-4)
    assert found.p == pytest.approx(3.7e-5, rel=0.2)


def test_accuracy_where_no_pair_or_one_differs() -> None:
    same = accuracy_difference(*right(90, 0, 0, 10), LEVEL)
    assert same.value == 0
    assert same.p == 1
    # half an image in each of the two ways to differ: 1 / 102 of 102
    assert same.interval == pytest.approx((-1.96 / 102, 1.96 / 102), rel=1e-4)
    # one heads of one coin: as two-sided as can be
    assert accuracy_difference(*right(90, 1, 0, 9), LEVEL).p == 1
    # five of five: 2 / 32
    assert accuracy_difference(*right(90, 5, 0, 5), LEVEL).p == pytest.approx(1 / 16)


def test_verdicts_follow_the_direction_of_the_metric() -> None:
    assert verdict(-0.1, 0.04, LEVEL, lower_is_better=True) == "better"
    assert verdict(-0.1, 0.04, LEVEL, lower_is_better=False) == "worse"
    assert verdict(-0.1, 0.06, LEVEL, lower_is_better=True) == "not distinguishable"


def test_equal_sets_differ_by_nothing() -> None:
    found = difference(0.0, torch.zeros(50), LEVEL)
    assert (found.p, found.interval) == (1.0, (0.0, 0.0))


def test_interval_and_p_agree_on_zero() -> None:
    for value in (0.5, 1.9, 2.1, 5.0, -1.9, -2.1):
        found = difference(value, torch.tensor([-1.0, 1.0] * 200), LEVEL)
        assert (found.p < 1 - LEVEL) == (found.interval[0] > 0 or found.interval[1] < 0)


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
        self.reference = ReferenceStatistics(
            torch.zeros(width, dtype=torch.float64), torch.eye(width, dtype=torch.float64), 10_000
        )
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
        references = dict.fromkeys(NETWORKS.values(), self.reference)
        return PairedComparisons(cells, references, resamples=200, level=LEVEL, seed=0)


SUM = np.random.default_rng(1).uniform(size=(2, 200_000)).mean(axis=0)
"""The law of the mean of two uniform numbers."""


def covered(worlds: int, n: int, shift: float) -> tuple[float, float]:
    """How often the intervals of FD and of accuracy hold the true difference."""
    world, generator = World(shift), torch.Generator().manual_seed(7)
    accuracies = (0.9, 0.9 + shift / 10)
    hits = np.zeros(2)
    for _ in range(worlds):
        found = world.compared(n, generator, accuracies).differences(Pair("b", "a", n))
        for place, (metric, truth) in enumerate(
            (("relative_fd", world.truth), ("accuracy", shift / 10))
        ):
            low, high = found[metric].interval
            hits[place] += low <= truth <= high
    return tuple(hits / worlds)


def false_verdicts(families: int, n: int, size: int) -> float:
    """In how many tables of cells that are all equal any verdict is given."""
    world, generator = World(0.0), torch.Generator().manual_seed(11)
    wrong = 0
    for _ in range(families):
        found = [
            world.compared(n, generator, (0.9, 0.9)).differences(Pair("b", "a", n))
            for _ in range(size)
        ]
        for metric in ("relative_fd", "accuracy"):
            adjusted = holm([one[metric].p for one in found])
            wrong += any(p <= 1 - LEVEL for p in adjusted)
    return wrong / families / 2


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    for shift in (0.0, 0.3):
        fd, accuracy = covered(250, n=300, shift=shift)
        assert 0.90 <= fd <= 0.98
        assert 0.90 <= accuracy <= 0.98


def test_verdicts_on_equals_are_rare_after_holm() -> None:
    assert false_verdicts(60, n=200, size=4) <= 0.05 + 2 * (0.05 * 0.95 / 120) ** 0.5


@pytest.mark.slow
@pytest.mark.parametrize("n", [200, 500, 2000])
@pytest.mark.parametrize("shift", [0.0, 0.1, 0.5])
def test_intervals_hold_the_truth_in_many_worlds(n: int, shift: float) -> None:
    fd, accuracy = covered(1000, n=n, shift=shift)
    assert 0.92 <= fd <= 0.98
    assert 0.92 <= accuracy <= 0.98


@pytest.mark.slow
def test_verdicts_on_equals_are_rare_in_many_tables() -> None:
    assert false_verdicts(300, n=500, size=8) <= 0.05 + 2 * (0.05 * 0.95 / 600) ** 0.5


def test_pairing_is_worth_having() -> None:
    """What both share cancels: of independent sets the difference is told less surely."""
    world, generator = World(0.1), torch.Generator().manual_seed(3)
    n = 400
    paired = world.compared(n, generator, (0.9, 0.9))
    other = world.compared(n, generator, (0.9, 0.9))
    strangers = {"a": paired._judged["a"], "b": other._judged["b"]}
    apart = PairedComparisons(
        strangers,
        dict.fromkeys(NETWORKS.values(), world.reference),
        resamples=200,
        level=LEVEL,
        seed=0,
    )

    def width(compared: PairedComparisons) -> float:
        low, high = compared.differences(Pair("b", "a", n))["relative_fd"].interval
        return high - low

    assert width(paired) < 0.8 * width(apart)


def test_a_comparison_is_of_the_first_images_of_both() -> None:
    world, generator = World(0.3), torch.Generator().manual_seed(5)
    compared = world.compared(300, generator, (0.9, 0.9))
    found = compared.differences(Pair("b", "a", 100))["relative_fd"].value
    distances = [
        frechet_distance(world.reference, compared._judged[name].features[:100]) for name in "ab"
    ]
    assert found == pytest.approx((distances[1] - distances[0]) / world.width)


def test_accuracy_is_compared_only_where_digits_were_asked_for() -> None:
    labels = torch.full((50,), -1)
    features = torch.randn(2, 50, 3, generator=torch.Generator().manual_seed(0))
    cells = {name: judged(part, labels) for name, part in zip("ab", features, strict=True)}
    reference = ReferenceStatistics.of(torch.randn(90, 3))
    references = dict.fromkeys(NETWORKS.values(), reference)
    compared = PairedComparisons(cells, references, resamples=20, level=LEVEL, seed=0)
    assert set(compared.differences(Pair("b", "a", 50))) == {"relative_fd", "second_relative_fd"}


def test_each_network_measures_with_features_and_reference_of_its_own() -> None:
    """The judge sees two equal sets, the second network one that is nearer to what it knows."""
    generator = torch.Generator().manual_seed(9)
    same, near = torch.randn(200, 3, generator=generator), torch.randn(200, 5, generator=generator)
    labels = torch.arange(200) % 10
    cells = {"a": judged(same, labels, second=near + 1), "b": judged(same, labels, second=near)}
    widths = {"classifier": 3, "autoencoder": 5}
    references = {
        network: ReferenceStatistics(
            torch.zeros(width, dtype=torch.float64), torch.eye(width, dtype=torch.float64), 1000
        )
        for network, width in widths.items()
    }
    compared = PairedComparisons(cells, references, resamples=50, level=LEVEL, seed=0)
    found = compared.differences(Pair("b", "a", 200))
    assert found["relative_fd"].value == 0
    means = near.mean(0)
    expected = float(means.square().sum() - (means + 1).square().sum()) / 5
    assert found["second_relative_fd"].value == pytest.approx(expected, rel=1e-4)
