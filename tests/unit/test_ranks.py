"""Ranks by several judges: which two cells stand in another order, and how alike the orders are."""

import pytest
import torch
from scipy.stats import kendalltau

from mnist_diffusion.evaluation.estimates import Estimate
from mnist_diffusion.evaluation.ranks import agreement, disagreements, ranks

UNASKED = torch.full((400,), -1)
LUCK = torch.randn(400, generator=torch.Generator().manual_seed(0)).double()
LUCK = (LUCK - LUCK.mean()) / LUCK.std()
OTHER = torch.randn(400, generator=torch.Generator().manual_seed(1)).double()
OTHER = OTHER - OTHER.mean()


def judged(**values: float) -> dict[str, Estimate]:
    """Cells whose errors of 0.05 are one and the same luck."""
    return {name: Estimate(value, LUCK, UNASKED) for name, value in values.items()}


def test_the_lowest_comes_first() -> None:
    assert ranks(judged(a=3.0, b=1.0, c=2.0)) == {"b": 1, "c": 2, "a": 3}


def test_agreement_is_kendalls() -> None:
    one, other = judged(a=1, b=2, c=3, d=4), judged(a=1, b=3, c=2, d=9)
    assert agreement(one, other) == pytest.approx(kendalltau([1, 2, 3, 4], [1, 3, 2, 9]).statistic)
    assert agreement(one, one) == 1
    assert agreement(judged(a=1), judged(a=2)) == 1


def test_only_opposite_orders_beyond_luck_are_told() -> None:
    """Of a and b both judges are sure; of c the second is not."""
    main = {**judged(a=1.0, b=2.0), "c": Estimate(3.0, OTHER, UNASKED)}
    second = {**judged(a=2.0, b=1.0), "c": Estimate(1.95, OTHER, UNASKED)}
    (found,) = disagreements({"main": main, "second": second}, 0.95)
    assert (found.cell, found.other) == ("a", "b")
    assert found.differences == {"main": -1.0, "second": 1.0}


def test_one_judge_that_is_unsure_disagrees_with_none() -> None:
    loose = {
        name: Estimate(value, 100 * luck, UNASKED)
        for name, value, luck in (("a", 2.0, LUCK), ("b", 1.0, OTHER))
    }
    assert disagreements({"main": judged(a=1.0, b=2.0), "loose": loose}, 0.95) == []


def test_what_was_asked_for_other_digits_is_not_paired() -> None:
    """The same luck would cancel; as strangers' it does not, and nothing is sure."""
    asked = torch.arange(400) % 10
    for other, count in ((UNASKED, 1), (asked, 0)):
        judges = {
            judge: {"a": Estimate(sign * 0.1, LUCK, UNASKED), "b": Estimate(0.0, LUCK, other)}
            for judge, sign in (("one", 1), ("two", -1))
        }
        assert len(disagreements(judges, 0.95)) == count
