"""Effects of training: by hand, of known arrays, and how often intervals hold the truth."""

from collections import Counter
from itertools import combinations, product

import numpy as np
import pytest
from scipy.stats import dunnett
from smoke_scale import REPOSITORY

from mnist_diffusion.evaluation.designs import Design, InestimableError, arms, crossed
from mnist_diffusion.evaluation.effects import analysed
from mnist_diffusion.evaluation.estimates import reach_of
from mnist_diffusion.evaluation.families import Family
from mnist_diffusion.settings import load_settings

SETTINGS = load_settings(REPOSITORY / "params.yaml")
L9 = [
    {f: str(level) for f, level in zip("abcd", (i, j, (i + j) % 3, (i + 2 * j) % 3), strict=True)}
    for i, j in product(range(3), repeat=2)
]
THREE_SEEDS = [{"arm": arm, "seed": str(seed)} for arm in ("p", "q") for seed in range(3)]


def test_two_arms_by_hand():
    """p: 1, 2, 3; q: 5, 7, 9. Pooled variance (2 + 8) / 4, difference 5, error √(2.5 · 2 / 3)."""
    fit = Design(THREE_SEEDS, ["arm"]).fit([1, 2, 3, 5, 7, 9])
    effect = fit.effect("arm", "q", "p")
    assert (effect.estimate, effect.df) == (pytest.approx(5.0), 4)
    assert fit.spread == pytest.approx(2.5**0.5)
    assert effect.error == pytest.approx((2.5 * 2 / 3) ** 0.5)


def test_two_arms_in_blocks_of_seeds_by_hand():
    """Differences 4, 5, 6: what a seed does to both is taken out, and two degrees of freedom."""
    effect = Design(THREE_SEEDS, ["arm", "seed"]).fit([1, 2, 3, 5, 7, 9]).effect("arm", "q", "p")
    assert (effect.estimate, effect.df) == (pytest.approx(5.0), 2)
    assert effect.error == pytest.approx(1 / 3**0.5)


def test_fewer_than_three_trainings_say_nothing():
    rows = [*THREE_SEEDS, {"arm": "r", "seed": "0"}]
    fit = Design(rows, ["arm"]).fit([1, 2, 3, 5, 7, 9, 4])
    with pytest.raises(InestimableError, match="1 trainings have arm r, 3 are needed"):
        fit.effect("arm", "r", "p")
    with pytest.raises(InestimableError, match="0 trainings have arm s"):
        fit.effect("arm", "s", "p")


def test_no_training_left_over_is_refused():
    with pytest.raises(InestimableError, match="leave none over"):
        Design(L9, list("abcd")).fit(range(9))


def test_what_never_differs_alone_is_refused():
    rows = [{"a": str(k % 2), "b": str(k % 2)} for k in range(8)]
    fit = Design(rows, ["a", "b"]).fit(np.arange(8.0))
    with pytest.raises(InestimableError, match="never differ by that alone"):
        fit.effect("a", "1", "0")


def test_main_effects_of_an_array_are_exact_where_there_is_nothing_else():
    scores = [0.5 * (row["a"] == "1") - 0.3 * (row["b"] == "2") for row in L9]
    fit = Design(L9, ["a", "b", "c"]).fit(scores)
    assert fit.spread == pytest.approx(0, abs=1e-12)
    assert fit.effect("a", "1", "0").estimate == pytest.approx(0.5)
    assert fit.effect("b", "2", "1").estimate == pytest.approx(-0.3)
    assert fit.effect("c", "2", "1").estimate == pytest.approx(0, abs=1e-12)


def test_aliases_of_a_nine_run_array_are_whole():
    """Of its columns each is mixed with the interaction of any two others."""
    found = {(one.factor, one.interaction): one.share for one in Design(L9, list("abc")).aliases()}
    assert found[("c", ("a", "b"))] == pytest.approx(1.0)
    assert ("a", ("a", "b")) not in found


def test_a_full_factorial_has_no_aliases():
    rows = [dict(zip("abc", levels, strict=True)) for levels in product("012", "01", "xyz")]
    assert Design(rows, list("abc")).aliases() == []


def test_intervals_hold_the_truth_over_simulated_seeds():
    """Of 95 % t intervals, three seeds an arm, variance pooled over five arms: 94 to 96 %."""
    random = np.random.default_rng(0)
    rows = [{"arm": str(arm)} for arm in range(5) for _ in range(3)]
    truth = np.repeat([0.0, 0.3, -0.4, 0.1, 0.0], 3)
    design, held = Design(rows, ["arm"]), 0
    for _ in range(1000):
        effect = design.fit(truth + random.normal(0, 0.08, 15)).effect("arm", "2", "0")
        low, high = effect.interval(0.95)
        held += low <= -0.4 <= high
    assert 930 <= held <= 970


def test_arms_are_runs_that_differ_in_nothing_but_the_seed():
    runs = {
        "a": {"schedule": "linear", "seed": 0},
        "b": {"schedule": "cosine", "seed": 0},
        "c": {"schedule": "linear", "seed": 1},
    }
    assert arms(runs) == {"a": ["a", "c"], "b": ["b"]}


def test_blocks_are_crossed_where_every_level_has_seen_all():
    assert crossed(THREE_SEEDS, "arm", "seed")
    assert not crossed(THREE_SEEDS[:-1], "arm", "seed")
    assert not crossed(THREE_SEEDS[::3], "arm", "seed")


def _levels(cell):
    declared = SETTINGS.effects["training"]
    run = SETTINGS.runs[SETTINGS.cells[cell].run]
    return {f: tuple(getattr(run, k) for k in keys) for f, keys in declared.factors.items()}


def test_the_declared_array_is_orthogonal():
    """Every pair of choices of two factors is met equally often, and each seed once."""
    declared = SETTINGS.effects["training"]
    rows = [_levels(cell) for cell in declared.cells]
    for one, other in combinations(declared.factors, 2):
        pairs = Counter((row[one], row[other]) for row in rows)
        choices = [{row[factor] for row in rows} for factor in (one, other)]
        assert set(pairs) == set(product(*choices))
        assert len(set(pairs.values())) == 1, (one, other)
    seeds = [SETTINGS.runs[cell].seed for cell in declared.cells]
    assert len(set(seeds)) == len(seeds) == 18


class Judged:
    """The distance of a made-up cell under both extractors."""

    def __init__(self, distance):
        self.fd_infinity, self.second = distance, self


def judged(spread, seed=1):
    """Linear a third worse, P2 a third better, unconditional three times as far; the rest alike."""
    random = np.random.default_rng(seed)
    cells = {}
    for cell in SETTINGS.effects["training"].cells:
        levels = _levels(cell)
        log = -2.5 + 0.27 * (levels["schedule"] == ("linear",))
        log -= 0.45 * (levels["loss"] == ("p2",))
        log += 1.1 * (levels["conditioning"] == ("uncond",))
        cells[cell] = Judged(float(np.exp(log + random.normal(0, spread))))
    return cells


def analyse(name, cells):
    runs = {cell: SETTINGS.denoisers[one.run] for cell, one in SETTINGS.cells.items()}
    return analysed(name, SETTINGS.effects[name], runs, cells)


def test_the_declared_array_tells_what_was_put_in():
    """Planted effects come out with their verdicts at a seed's spread, and nothing else does."""
    report = analyse("training", judged(0.08)).report(0.95, seed=0)
    found = {(one.factor, one.level): one for one in report.effects}
    assert len(report.effects) == 2 * 7
    assert found["schedule", "linear"].verdict == "worse"
    assert found["loss", "p2"].verdict == "better"
    assert found["conditioning", "uncond"].verdict == "worse"
    for choice in (("timesteps", "importance"), ("timesteps", "stratified"), ("loss", "v")):
        assert found[choice].verdict in ("equivalent", "unresolved")
    low, high = found["loss", "p2"].interval
    assert low < np.exp(-0.45) < high
    assert found["loss", "p2"].trainings == 6


@pytest.mark.parametrize(("name", "most", "df"), [("training", 0.104, 10), ("grid", 0.151, 8)])
def test_what_the_declared_array_resolves(name, most, df):
    """At 8 % from seed to seed, as measured: half-widths of ±10 %, within a conditioning ±15 %.

    Of one effect by itself; so that all hold together they are half as wide again.
    """
    analysis = analyse(name, judged(0.08))
    fit = analysis.fits["fd_infinity"]
    assert fit.df == df
    told = list(analysis.told(fit))
    for contrast in told:
        low, high = fit.effect(*contrast).interval(0.95)
        assert (high - low) / 2 * 0.08 / fit.spread < most, contrast
    together = Family.of_trainings(fit, [fit.weights(*one) for one in told], 0).reach(0.95)
    assert 1.2 < together / reach_of(0.95) < 1.7


@pytest.mark.parametrize(
    ("log_ratio", "spread", "expected"),
    [(-0.4, 0.05, "better"), (0.4, 0.05, "worse"), (0.0, 0.04, "equivalent"),
     (0.05, 0.02, "equivalent"), (0.0, 0.2, "unresolved")],
)  # fmt: skip
def test_every_verdict_occurs_between_arms(log_ratio, spread, expected):
    """Within the margin is equivalent, told from 1 or not; where seeds differ much, nothing is."""
    cells = judged(spread, seed=2)
    for cell, one in cells.items():
        one.fd_infinity *= np.exp(log_ratio * (_levels(cell)["timesteps"] == ("importance",)))
    found = {
        (one.level, one.metric): one for one in analyse("training", cells).report(0.95, 0).effects
    }
    one = found["importance", "fd_infinity"]
    low, high = (abs(np.log(end)) for end in one.interval)
    assert one.verdict == expected
    assert (one.verdict == "equivalent") == (max(low, high) < np.log(1.15))


def test_p_values_of_arms_against_one_are_dunnetts():
    """scipy's, of the same numbers: one way of training held against three others."""
    random = np.random.default_rng(0)
    scores = random.normal(0, 1, (4, 5)) + np.array([[0.0], [1.0], [2.0], [0.5]])
    rows = [{"arm": str(k)} for k in range(4) for _ in range(5)]
    fit = Design(rows, ["arm"]).fit(scores.reshape(-1))
    told = [("arm", str(k), "0") for k in range(1, 4)]
    family = Family.of_trainings(fit, [fit.weights(*one) for one in told], 0)
    mine = [family.adjusted(fit.effect(*one).p(0.0), fit.df) for one in told]
    assert mine == pytest.approx(dunnett(*scores[1:], control=scores[0]).pvalue, abs=0.005)


def test_all_intervals_of_effects_hold_at_once_over_simulated_seeds():
    """Brute force over 300 made-up laptops: 92 to 98 %; each by itself would do so in far fewer."""
    analysis = analyse("training", judged(0.08))
    fit = analysis.fits["fd_infinity"]
    told = list(analysis.told(fit))
    reach = Family.of_trainings(fit, [fit.weights(*one) for one in told], 0).reach(0.95)
    random, together, alone = np.random.default_rng(4), 0, 0
    for _ in range(300):
        luck = analysis.design.fit(random.normal(0, 0.08, 18))
        effects = [luck.effect(*one) for one in told]
        worst = max(abs(one.estimate) / one.error for one in effects)
        together += worst < reach
        alone += all(one.p(0.0) > 0.05 for one in effects)
    assert 0.92 <= together / 300 <= 0.98
    assert alone / 300 < 0.85


def test_a_schedule_may_matter_otherwise_within_a_conditioning():
    """The grid tells what the main effect averages over."""
    cells = judged(0.02)
    for cell, one in cells.items():
        levels = _levels(cell)
        if levels["schedule"] == ("linear",) and levels["conditioning"] == ("uncond",):
            one.fd_infinity *= np.exp(-0.5)
    found = {
        (one.level, one.base): one.verdict for one in analyse("grid", cells).report(0.95, 0).effects
    }
    assert found["class/linear", "class/cosine"] == "worse"
    assert found["uncond/linear", "uncond/cosine"] == "better"


def test_arms_of_three_seeds_are_an_analysis_without_factors():
    """As at the gpu scale: what a seed does to all arms is taken out."""
    run = SETTINGS.runs["long"]
    runs, cells = {}, {}
    for k, schedule in product(range(3), ("linear", "cosine")):
        name = f"{schedule}-{k}"
        runs[name] = run.model_copy(update={"schedule": schedule, "seed": k})
        log = 0.3 * (schedule == "linear") + 0.5 * k + 0.001 * k * (schedule == "linear")
        cells[name] = Judged(float(np.exp(log)))
    declared = SETTINGS.effects["training"].model_copy(
        update={
            "cells": list(runs),
            "factors": {},
            "contrasts": {"arm": [["linear-0", "cosine-0"]]},
        }
    )
    analysis = analysed("seeds", declared, runs, cells)
    assert analysis.blocked
    assert analysis.arms == {
        "linear-0": ["linear-0", "linear-1", "linear-2"],
        "cosine-0": ["cosine-0", "cosine-1", "cosine-2"],
    }
    effect = analysis.fits["fd_infinity"].effect("arm", "linear-0", "cosine-0")
    assert (effect.estimate, effect.df) == (pytest.approx(0.301), 2)
    assert effect.error < 0.01
