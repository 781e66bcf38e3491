"""Intervals, verdicts and families: they agree with one another, and with simulated truth."""

import math

import numpy as np
import pytest

from mnist_diffusion.evaluation.quantities import (
    Quantity,
    finding,
    holm,
    holm_levels,
    nearest_bound,
    of_interval,
    verdict,
)

DFS = [3, 9, 20, 3, 9, 20]


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ((-0.2, -0.1), "better"),
        ((0.1, 0.2), "worse"),
        ((-0.05, 0.05), "equivalent"),
        ((0.01, 0.05), "equivalent"),
        ((0.05, 0.2), "worse"),
        ((-0.05, 0.2), "unresolved"),
        ((-0.5, 0.5), "unresolved"),
    ],
)
def test_a_verdict_is_where_the_interval_lies(interval, expected):
    """Absence of evidence is unresolved: equivalent needs the interval inside the margin.

    And what lies within it is equivalent, be 0 in it or not: that is what a margin says.
    """
    assert verdict(interval, margin=0.1, lower_is_better=True) == expected
    swapped = {"better": "worse", "worse": "better"}
    flipped = verdict(interval, margin=0.1, lower_is_better=False)
    assert flipped == swapped.get(expected, expected)


@pytest.mark.parametrize(
    ("relation", "holds", "fails"),
    [
        ("below", (0.0, 0.9), (1.1, 2.0)),
        ("above", (1.1, 2.0), (0.0, 0.9)),
        ("within", (-0.9, 0.9), (1.1, 1.2)),
        ("beyond", (-1.2, -1.1), (-0.9, 0.9)),
    ],
)
def test_every_relation_holds_fails_and_stays_open(relation, holds, fails):
    assert finding(holds, relation, 1.0) == "holds"
    assert finding(fails, relation, 1.0) == "fails"
    assert finding((0.5, 1.5), relation, 1.0) == "unresolved"


def test_the_interval_is_students():
    quantity = Quantity(1.0, 0.1, df=4)
    assert quantity.interval(0.95) == pytest.approx((1 - 0.2776, 1 + 0.2776), abs=1e-4)
    assert quantity.p(1.0) == 1.0
    assert quantity.p(1 - 0.27764451) == pytest.approx(0.05, abs=1e-6)


def test_many_images_leave_a_normal_interval():
    assert Quantity(0.0, 1.0).interval(0.95)[1] == pytest.approx(1.959964, abs=1e-5)
    assert of_interval(2.0, (1.0, 3.0), 0.95).error == pytest.approx(1 / 1.959964, abs=1e-5)
    assert Quantity(3.0, 3.0).less(Quantity(1.0, 4.0)) == Quantity(2.0, 5.0)
    more = Quantity(3.0, 0.3).over(Quantity(2.0, 0.4))
    assert (more.estimate, more.error) == pytest.approx((0.5, math.hypot(0.3, 0.6) / 2))


def test_what_has_no_error_is_certain():
    assert Quantity(0.4, 0.0).p(0.3) == 0.0
    assert finding(Quantity(0.4, 0.0).interval(0.95), "above", 0.3) == "holds"


def test_holms_levels_by_hand():
    # alpha / 3 for the first, which is rejected; alpha / 2 stops the second, and the third with it
    assert holm_levels([0.01, 0.04, 0.03], 0.95) == pytest.approx(
        [1 - 0.05 / 3, 1 - 0.05 / 2, 1 - 0.05 / 2]
    )


def test_intervals_leave_out_their_bounds_exactly_where_holm_rejects():
    """Over random families: verdict and interval never contradict one another."""
    random = np.random.default_rng(0)
    for _ in range(300):
        family = [Quantity(z, 1.0, df) for z, df in zip(random.normal(0, 3, 6), DFS, strict=True)]
        p_values = [one.p(0.0) for one in family]
        levels = holm_levels(p_values, 0.95)
        for one, p, level in zip(family, holm(p_values), levels, strict=True):
            low, high = one.interval(level)
            assert (low > 0 or high < 0) == (p < 0.05)


@pytest.mark.parametrize("relation", ["within", "beyond"])
def test_of_a_margin_the_nearer_side_decides(relation):
    assert nearest_bound(Quantity(-0.3, 0.1), relation, 0.2) == -0.2
    assert nearest_bound(Quantity(0.3, 0.1), relation, 0.2) == 0.2
