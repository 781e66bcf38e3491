"""Families of verdicts: as often wrong as they say, and no oftener."""

from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal, norm

from mnist_diffusion.evaluation.estimates import Estimate
from mnist_diffusion.evaluation.families import Family
from mnist_diffusion.evaluation.quantities import holm

LEVEL = 0.95


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


def means(*columns: torch.Tensor) -> list[Estimate]:
    return [Estimate.mean(column, torch.zeros(len(column))) for column in columns]


def shared(n: int, correlation: float, size: int, seed: int) -> list[torch.Tensor]:
    """Columns of n numbers of variance 1, any two of which are correlated."""
    generator = torch.Generator().manual_seed(seed)
    common, own = torch.randn(n, 1, generator=generator), torch.randn(n, size, generator=generator)
    return list((correlation**0.5 * common + (1 - correlation) ** 0.5 * own).T)


def test_strangers_reach_as_far_as_sidak_says() -> None:
    family = Family.of(means(*shared(20_000, 0, 8, 0)), seed=0)
    assert family.reach(LEVEL) == pytest.approx(norm.ppf((1 + LEVEL ** (1 / 8)) / 2), abs=0.02)
    assert family.adjusted(0.01) == pytest.approx(1 - 0.99**8, abs=0.004)


def test_copies_of_one_are_one() -> None:
    (column,) = shared(500, 0, 1, 0)
    family = Family.of(means(column, 2 * column, -column), seed=0)
    assert family.reach(LEVEL) == pytest.approx(1.96, abs=0.02)


def test_the_reach_is_that_of_the_joint_normal() -> None:
    """Against scipy's integral over the box of as many errors to every side."""
    columns = [*shared(3000, 0.6, 3, 0), *shared(3000, 0.2, 2, 1)]
    reach = Family.of(means(*columns), seed=0).reach(LEVEL)
    correlation = np.corrcoef(torch.stack(columns).numpy())
    box = np.full(5, reach)
    held = multivariate_normal(cov=correlation).cdf(box, lower_limit=-box)
    assert held == pytest.approx(LEVEL, abs=0.003)


def test_all_intervals_hold_at_once_as_often_as_they_say() -> None:
    """Brute force: tables made anew, correlated means whose truth is 0, over other n too."""
    all_held, each_held, tables = 0, 0, 120
    for seed in range(tables):
        columns = shared(200, 0.5, 6, seed)
        columns[4:] = [column[:80] for column in columns[4:]]
        estimates = means(*columns)
        reach = Family.of(estimates, seed=0).reach(LEVEL)
        off = [abs(one.value) / one.error for one in estimates]
        all_held += max(off) < reach
        each_held += max(off) < 1.96
    assert 0.90 <= all_held / tables <= 0.99
    assert each_held / tables < 0.88


def test_a_verdict_falls_where_its_interval_leaves_0() -> None:
    family = Family.of(means(*shared(500, 0.5, 10, 0)), seed=0)
    reach = family.reach(LEVEL)
    for off in (reach - 0.05, reach + 0.05):
        assert (family.adjusted(float(2 * norm.sf(off))) < 1 - LEVEL) == (off > reach)


def test_far_beyond_the_draws_it_is_bonferronis() -> None:
    family = Family.of(means(*shared(500, 0.5, 10, 0)), seed=0)
    assert family.adjusted(1e-12) == pytest.approx(1e-11)
    assert family.adjusted(1.0) == 1.0


def test_what_has_no_error_hangs_together_with_none() -> None:
    columns = [*shared(500, 0, 1, 0), torch.zeros(500)]
    assert Family.of(means(*columns), seed=0).reach(LEVEL) == pytest.approx(2.236, abs=0.02)
