"""Every kind of claim turns with the numbers behind it: holds, fails, and stays open."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter
from smoke_scale import REPOSITORY

from mnist_diffusion.evaluation.cell_scores import CellScores
from mnist_diffusion.evaluation.claims import judged
from mnist_diffusion.evaluation.designs import Design
from mnist_diffusion.evaluation.evidence import Evidence
from mnist_diffusion.evaluation.identities import IDENTITIES, Drawn, chain_deviation
from mnist_diffusion.evaluation.metrics import COMPARED, METRICS
from mnist_diffusion.evaluation.quantities import excess, holm
from mnist_diffusion.files.yamlfile import parse_yaml, read_yaml
from mnist_diffusion.provenance.schemas.claim_reports import Settling, SolverError
from mnist_diffusion.settings import load_settings, parse_settings
from mnist_diffusion.settings.claims import Claim
from mnist_diffusion.settings.scales import scaled

CLAIMS = TypeAdapter(dict[str, Claim])
DISTANCE = next(name for name in COMPARED if METRICS[name].twin)
LINEAR = np.linspace(1e-4, 0.02, 1000)
FAMILY = "one"
BASE = 0.02
"""The distance of a cell that is held against another."""


def cell(distance: float = 0.02, half: float = 0.0005, **values: Any) -> Any:
    """A judged cell: its distance under both extractors, with an interval."""
    second = SimpleNamespace(**{DISTANCE: distance, "relative_fd": distance})
    ends = (distance - half, distance + half)
    pixels = SimpleNamespace(saturated=0.3, saturated_real=0.5, mass=100.0, mass_real=100.0)
    plain = {
        "run": "long",
        "n": 1000,
        "level": 0.95,
        "accuracy": 0.9,
        "recall": 0.6,
        DISTANCE: distance,
    }
    intervals = {DISTANCE: ends, METRICS[DISTANCE].twin: ends, "accuracy": (0.88, 0.92)}
    intervals |= {"recall": (0.57, 0.63)} | values.pop("intervals", {})
    errors = {"saturated": 0.01, "mass": 1.0} | values.pop("errors", {})
    shares = {str(digit): 0.1 for digit in range(10)}
    found = plain | {"second": second, "pixels": pixels, "predicted_per_class": shares} | values
    return SimpleNamespace(**found, intervals=intervals, errors=errors)


def paired(one: str, other: str, difference: float, half: float, metric: str = DISTANCE) -> Any:
    error = half / 1.959964
    ends = (difference - half, difference + half)
    return SimpleNamespace(
        cell=one, baseline=other, metric=metric, difference=difference, interval=ends, error=error,
        relative=difference / BASE, relative_error=error / BASE,
    )  # fmt: skip


def trajectories(fine: float = 0.6, spread: float = 0.02, noise: float = 0.3) -> Any:
    random = np.random.default_rng(0)
    zeros = [0.0] * 100

    def settling(late: float) -> Settling:
        return Settling(coarse=zeros, fine=(late + random.normal(0, spread, 100)).tolist())

    def solver(rmse: float) -> SolverError:
        squares = (rmse * (1 + random.normal(0, spread, 100))) ** 2
        return SolverError(evaluations=1, rmse=rmse, squares=squares.tolist())

    solvers = {"good": solver(0.01), "bad": solver(0.02), "same": solver(0.01)}
    return SimpleNamespace(predicted=settling(fine), noise=settling(noise), solvers=solvers)


def evidence(**changes: Any) -> Evidence:
    """Where nothing is settled, but for what a test changes."""
    random = np.random.default_rng(0)
    shares = np.array([[0.3, 1 / 3, 0.3667]]) + random.normal(0, 0.01, (20, 3))
    known: dict[str, Any] = {
        "level": 0.95,
        "cells": {"a": cell(), "b": cell()},
        "drawn": {},
        "compared": [],
        "effects": {"training": {DISTANCE: fit(0.0), METRICS[DISTANCE].twin: fit(0.0)}},
        "losses": {"run": shares},
        "betas": {"run": LINEAR},
        "trajectories": trajectories(),
        "real_shares": {str(digit): 0.1 for digit in range(10)},
        "adherence": {},
        "fidelity": {},
        "seams": {},
    }
    told = known | changes
    scores = CellScores(told.pop("cells"), told.pop("compared"))
    return Evidence(scores=scores, **told)


def fit(log_ratio: float, spread: float = 0.08) -> Any:
    """Three trainings of p and of q, whose distances are so many times larger."""
    random = np.random.default_rng(3)
    rows = [{"weighting": level} for level in ("p", "q") for _ in range(3)]
    luck = random.normal(0, spread, 6)
    return Design(rows, ["weighting"]).fit(luck + np.repeat([0.0, log_ratio], 3))


def both(log_ratio: float, twin: float | None = None) -> dict[str, Any]:
    other = log_ratio if twin is None else twin
    return {"training": {DISTANCE: fit(log_ratio), METRICS[DISTANCE].twin: fit(other)}}


def outcome(test: dict[str, Any], **changes: Any) -> str:
    claims = CLAIMS.validate_python({"it": {"family": FAMILY, "tests": [test]}})
    return judged(claims, evidence(**changes))["it"].outcome


def obeying(everything: float, n: int = 1000, held_out: float | None = None) -> Any:
    def shares(share: float | None, of: int) -> SimpleNamespace:
        return SimpleNamespace(everything=share, digit=share, n=of)

    return SimpleNamespace(all=shares(everything, n), held_out=shares(held_out, 100))


def codec(distance: float, pixel_mflop: float = 40.0, error: float = 0.0002) -> Any:
    def judged(value: float) -> SimpleNamespace:
        scores = {DISTANCE: value, METRICS[DISTANCE].twin: value, "saturated": 0.05}
        return SimpleNamespace(**scores, errors=dict.fromkeys(scores, error))

    costs = {"pixel_mflop": pixel_mflop, "latent_mflop": 10.0}
    return SimpleNamespace(
        real=judged(0.001), back=judged(distance), back_drawn=judged(distance), **costs
    )


def halves(excess: float, luck: float = 0.01) -> Any:
    drawn = 0.1 * (1 + excess) + np.random.default_rng(1).normal(0, luck, 200)
    return SimpleNamespace(drawn=drawn.tolist(), real=[0.1] * 200)


STEERS = {"kind": "adherence", "share": "everything", "among": "all", "cell": "p", "base": "q"}
UNSEEN = {**STEERS, "among": "held_out", "base": None}
CEILING = {"kind": "ceiling", "metric": DISTANCE, "codec": "4x7x7", "cells": ["a"]}
ORDER_OF_CODECS = {"kind": "fidelity", "metric": DISTANCE, "codec": "8x4x4", "base": "4x7x7"}
COST = {"kind": "cost", "codec": "4x7x7", "expect": {"above": 3.0}}
SEAM = {"kind": "seam", "cell": "p", "base": "real", "expect": {"within": 0.1}}
WORDS = {"p": obeying(0.8), "q": obeying(0.4)}


@pytest.mark.parametrize(
    ("test", "changes", "expected"),
    [
        ({**STEERS, "expect": {"above": 0.0}}, {"adherence": WORDS}, "holds"),
        ({**STEERS, "expect": {"below": 0.0}}, {"adherence": WORDS}, "fails"),
        (
            {**STEERS, "expect": {"above": 0.0}},
            {"adherence": {"p": obeying(0.5, 50), "q": obeying(0.45, 50)}},
            "unresolved",
        ),
        (
            {**UNSEEN, "expect": {"above": 0.5}},
            {"adherence": {"p": obeying(0.8, held_out=0.9)}},
            "holds",
        ),
        (
            {**UNSEEN, "expect": {"above": 0.5}},
            {"adherence": {"p": obeying(0.8, held_out=0.1)}},
            "fails",
        ),
        (
            {**UNSEEN, "expect": {"above": 0.5}},
            {"adherence": {"p": obeying(0.8)}},
            "not testable here",
        ),
        ({**STEERS, "expect": {"above": 0.0}}, {}, "not testable here"),
        ({**CEILING, "expect": {"above": 0.0}}, {"fidelity": {"4x7x7": codec(0.0)}}, "holds"),
        ({**CEILING, "expect": {"above": 0.0}}, {"fidelity": {"4x7x7": codec(0.9)}}, "fails"),
        ({**CEILING, "expect": {"above": 0.0}}, {}, "not testable here"),
        (
            {**ORDER_OF_CODECS, "expect": {"above": 0.0}},
            {"fidelity": {"8x4x4": codec(0.003), "4x7x7": codec(0.001)}},
            "holds",
        ),
        (
            {**ORDER_OF_CODECS, "expect": {"above": 0.0}},
            {"fidelity": {"8x4x4": codec(0.001), "4x7x7": codec(0.003)}},
            "fails",
        ),
        (
            {**ORDER_OF_CODECS, "base": "real", "expect": {"above": 0.0}},
            {"fidelity": {"8x4x4": codec(0.0011)}},
            "unresolved",
        ),
        (COST, {"fidelity": {"4x7x7": codec(0.001)}}, "holds"),
        (COST, {"fidelity": {"4x7x7": codec(0.001, pixel_mflop=25.0)}}, "fails"),
        (SEAM, {"seams": {"p": halves(0.02)}}, "holds"),
        (SEAM, {"seams": {"p": halves(0.5)}}, "fails"),
        (SEAM, {"seams": {"p": halves(0.1, luck=0.05)}}, "unresolved"),
        (
            {**SEAM, "base": "q", "expect": {"below": 0.0}},
            {"seams": {"p": halves(0.1), "q": halves(0.4)}},
            "holds",
        ),
        ({**SEAM, "base": "q"}, {"seams": {"p": halves(0.1)}}, "not testable here"),
    ],
)
def test_latents_words_and_halves_turn(
    test: dict[str, Any], changes: dict[str, Any], expected: str
) -> None:
    assert outcome(test, **changes) == expected


EFFECT = {"kind": "effect", "of": "training", "factor": "weighting", "level": "q", "base": "p"}


@pytest.mark.parametrize(
    ("expect", "log_ratio", "expected"),
    [
        ({"below": 1.0}, -0.5, "holds"),
        ({"below": 1.0}, 0.5, "fails"),
        ({"below": 1.0}, 0.0, "unresolved"),
        ({"within": 1.5}, 0.0, "holds"),
        ({"within": 1.5}, 1.0, "fails"),
        ({"beyond": 1.5}, -1.0, "holds"),
        ({"beyond": 1.5}, 0.0, "fails"),
        ({"beyond": 1.5}, 0.5, "unresolved"),
    ],
)
def test_an_effect_of_training(expect: Any, log_ratio: float, expected: str) -> None:
    assert outcome(EFFECT | {"expect": expect}, effects=both(log_ratio)) == expected


def test_extractors_that_disagree_make_a_claim_depend() -> None:
    test = EFFECT | {"expect": {"below": 1.0}}
    assert outcome(test, effects=both(-0.5, twin=0.5)) == "depends"
    assert outcome(test, effects=both(-0.5, twin=0.0)) == "unresolved"


@pytest.mark.parametrize(
    ("difference", "half", "expected"),
    [(0.0, 0.001, "holds"), (0.01, 0.001, "fails"), (0.0, 0.01, "unresolved")],
)
@pytest.mark.parametrize("turned", [False, True])
def test_a_loss_of_a_cell_against_a_share_of_its_baseline(
    difference: float, half: float, expected: str, turned: bool
) -> None:
    """No more than a tenth of 0.02 is lost, whichever way the pair was compared."""
    test = {"kind": "difference", "metric": DISTANCE, "pairs": [["a", "b"]], "unit": "baseline"}
    names, sign = (("b", "a"), -1) if turned else (("a", "b"), 1)
    metrics = (DISTANCE, METRICS[DISTANCE].twin)
    compared = [paired(*names, sign * difference, half, metric) for metric in metrics]
    assert outcome(test | {"expect": {"below": 0.1}}, compared=compared) == expected


@pytest.mark.parametrize(
    ("recall", "half", "expected"),
    [(0.4, 0.02, "holds"), (0.8, 0.02, "fails"), (0.55, 0.2, "unresolved")],
)
def test_what_was_not_paired_is_a_difference_of_independent_sets(
    recall: float, half: float, expected: str
) -> None:
    test = {"kind": "difference", "metric": "recall", "pairs": [["a", "b"]], "unit": "one"}
    drawn = cell(recall=recall, intervals={"recall": (recall - half, recall + half)})
    cells = {"a": drawn, "b": cell()}
    assert outcome(test | {"expect": {"below": 0.0}}, cells=cells) == expected


@pytest.mark.parametrize(
    ("accuracy", "half", "expected"),
    [(0.9, 0.02, "holds"), (0.2, 0.02, "fails"), (0.5, 0.02, "unresolved")],
)
def test_a_score_of_a_cell(accuracy: float, half: float, expected: str) -> None:
    test = {"kind": "value", "metric": "accuracy", "cells": ["a"], "unit": "one"}
    ends = (accuracy - half, accuracy + half)
    cells = {"a": cell(accuracy=accuracy, intervals={"accuracy": ends})}
    assert outcome(test | {"expect": {"above": 0.5}}, cells=cells) == expected


def test_a_score_in_units_of_real_digits() -> None:
    test = {"kind": "value", "metric": "saturated", "cells": ["a"], "unit": "real"}
    assert outcome(test | {"expect": {"below": 0.7}}) == "holds"
    assert outcome(test | {"expect": {"above": 1.1}}) == "fails"


def test_without_a_known_error_there_is_no_verdict() -> None:
    """Else it would be a sure one."""
    test = {"kind": "value", "metric": "recall", "cells": ["a"], "unit": "one"}
    for expect in ({"above": 0.1}, {"below": 0.1}):
        nothing = {"a": cell(intervals={"recall": None})}
        assert outcome(test | {"expect": expect}, cells=nothing) == "not testable here"


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.917, "holds"), (0.95, "fails"), (1.0, "fails"), (0.935, "unresolved")],
)
def test_digits_that_are_all_copies_were_in_the_training_set(share: float, expected: str) -> None:
    pixels = SimpleNamespace(share=share, expected=55_000 / 60_000)
    cells = {"headline": cell(n=2000, memorisation=SimpleNamespace(pixels=pixels))}
    declared = {"it": SETTINGS.claims["never-in-the-training-set"]}
    assert judged(declared, evidence(cells=cells))["it"].outcome == expected


def test_of_two_trainings_a_difference_speaks_in_those_words() -> None:
    test = {"kind": "difference", "metric": "recall", "pairs": [["a", "b"], ["a", "c"]]}
    cells = {"a": cell(), "b": cell(), "c": cell(run="another")}
    claim = {"family": FAMILY, "tests": [test | {"unit": "one", "expect": {"below": 0.0}}]}
    found = judged(CLAIMS.validate_python({"it": claim}), evidence(cells=cells))["it"]
    assert [one.label for one in found.statements] == [
        "recall, a less b",
        "recall, a less c, of these two trainings",
    ]


@pytest.mark.parametrize(
    ("share", "expected"), [(0.09, "holds"), (0.01, "fails"), (0.05, "unresolved")]
)
def test_the_rarest_digit(share: float, expected: str) -> None:
    test = {"kind": "rarest", "cell": "a", "expect": {"above": 0.5}}
    shares = {str(digit): 0.1 for digit in range(10)} | {"3": share, "8": 0.2 - share}
    assert outcome(test, cells={"a": cell(predicted_per_class=shares)}) == expected


@pytest.mark.parametrize(
    ("solver", "baseline", "expected"),
    [("good", "bad", "holds"), ("bad", "good", "fails"), ("same", "good", "unresolved")],
)
def test_a_solver_against_the_exact_solution(solver: str, baseline: str, expected: str) -> None:
    test = {"kind": "solver", "solver": solver, "baseline": baseline, "expect": {"below": 0.0}}
    assert outcome(test) == expected


@pytest.mark.parametrize(
    ("fine", "spread", "expected"),
    [(0.6, 0.02, "holds"), (0.1, 0.02, "fails"), (0.3, 0.5, "unresolved")],
)
def test_coarse_before_fine_beyond_what_noise_does(
    fine: float, spread: float, expected: str
) -> None:
    """Real digits in noise have it by 0.3 of the steps, without a model."""
    test = {"kind": "order", "expect": {"above": 0.0}}
    assert outcome(test, trajectories=trajectories(fine=fine, spread=spread)) == expected


@pytest.mark.parametrize(
    ("middle", "expected"), [(0.5, "holds"), (0.2, "fails"), (1 / 3, "unresolved")]
)
def test_a_share_of_the_minimised_loss(middle: float, expected: str) -> None:
    test = {"kind": "loss", "run": "run", "third": 1, "expect": {"above": 0.3333}}
    luck = np.random.default_rng(0).normal(0, 0.01, (20, 3))
    shares = np.array([[0.2, middle, 0.8 - middle]]) + luck - luck.mean(axis=0)
    assert outcome(test, losses={"run": shares}) == expected


def test_an_identity_is_tallied_apart_unless_it_is_none() -> None:
    test = {"kind": "identity", "of": "typical-betas"}
    assert outcome(test) == "identity"
    steep = np.linspace(1e-4, 0.9, 1000)
    assert outcome(test, betas={"run": steep}) == "fails"
    assert outcome(test, betas={"run": LINEAR, "other": steep}) == "depends"


@pytest.mark.parametrize(
    ("test", "why"),
    [
        (EFFECT | {"of": "other", "expect": {"below": 1.0}}, "analysis other: not declared"),
        (EFFECT | {"level": "r", "expect": {"below": 1.0}}, "0 trainings have weighting r"),
        (
            {"kind": "value", "metric": "recall", "cells": ["c"], "unit": "one"}
            | {"expect": {"above": 0.0}},
            "no cell c is declared",
        ),
        (
            {"kind": "solver", "solver": "x", "baseline": "good", "expect": {"below": 0.0}},
            "no solver x is declared",
        ),
        (
            {"kind": "loss", "run": "x", "third": 1, "expect": {"above": 0.0}},
            "no run x is declared",
        ),
        ({"kind": "untestable", "why": "Needs photographs."}, "Needs photographs."),
        (
            {"kind": "difference", "metric": "recall", "pairs": [["a", "fewer"]], "unit": "one"}
            | {"expect": {"above": 0.0}},
            "a and fewer are of other numbers of images",
        ),
        (
            {"kind": "difference", "metric": DISTANCE, "pairs": [["a", "none"]], "unit": "baseline"}
            | {"expect": {"above": 0.0}},
            f"none has no {DISTANCE} to take a share of",
        ),
    ],
)
def test_what_is_not_declared_is_not_testable_and_says_why(test: Any, why: str) -> None:
    claims = CLAIMS.validate_python({"it": {"family": FAMILY, "tests": [test]}})
    cells = {"a": cell(), "fewer": cell(n=500), "none": cell(distance=-0.001)}
    verdict = judged(claims, evidence(cells=cells))["it"]
    assert verdict.outcome == "not testable here"
    assert verdict.why.startswith(why)


def test_too_few_trainings_for_a_spread_make_no_claim() -> None:
    test = EFFECT | {"expect": {"below": 1.0}}
    assert outcome(test, effects={"training": {}}) == "not testable here"


def test_a_family_shares_its_chance_of_a_false_verdict() -> None:
    """Alone a claim is settled; among twenty of which the others are not, it no longer is."""
    ends = (0.51, 0.59)
    cells = {"a": cell(accuracy=0.55, intervals={"accuracy": ends}), "b": cell()}
    cells["b"].accuracy, cells["b"].intervals["accuracy"] = 0.5, (0.46, 0.54)
    test = {"kind": "value", "metric": "accuracy", "unit": "one", "expect": {"above": 0.5}}
    assert outcome(test | {"cells": ["a"]}, cells=cells) == "holds"
    rows = {f"other-{k}": test | {"cells": ["b"]} for k in range(19)}
    rows["it"] = test | {"cells": ["a"]}
    declared = {name: {"family": FAMILY, "tests": [row]} for name, row in rows.items()}
    found = judged(CLAIMS.validate_python(declared), evidence(cells=cells))
    assert found["it"].outcome == "unresolved"
    assert found["it"].p_holm == pytest.approx(20 * found["it"].p)
    assert [one.p_holm for one in found.values()] == holm([one.p for one in found.values()])
    apart = declared | {"it": declared["it"] | {"family": "another"}}
    assert judged(CLAIMS.validate_python(apart), evidence(cells=cells))["it"].outcome == "holds"


def accuracies(**found: float) -> dict[str, Any]:
    """Cells of these accuracies, with a standard error of 0.02."""
    return {
        name: cell(accuracy=value, intervals={"accuracy": (value - 0.0392, value + 0.0392)})
        for name, value in found.items()
    }


def accurate(*cells: str) -> dict[str, Any]:
    """A claim that all of them are above a half."""
    test = {"kind": "value", "metric": "accuracy", "unit": "one", "expect": {"above": 0.5}}
    return {"family": FAMILY, "tests": [test | {"cells": list(cells)}]}


def test_a_claim_is_as_sure_as_its_least_sure_statement() -> None:
    """And no surer: an open one takes no other claim's share of the family's chance."""
    declared = {name: accurate(*name) for name in ("ab", "ba", "c", "d")}
    cells = accuracies(a=0.9, b=0.51, c=0.55, d=0.56)
    found = judged(CLAIMS.validate_python(declared), evidence(cells=cells))
    assert found["ab"].p == found["ba"].p == pytest.approx(0.617, abs=0.001)
    assert found["ab"].outcome == found["ba"].outcome == "unresolved"
    assert [found[name].p_holm for name in "dc"] == pytest.approx(
        [4 * found["d"].p, 3 * found["c"].p]
    )


@pytest.mark.parametrize("truth", [(0.5, 0.9), (0.9, 0.5)])
def test_a_claim_of_which_one_half_is_at_its_bound_stays_open(truth: tuple[float, float]) -> None:
    """Whichever stands first: in a family of five such claims, all in 95 of 100 cases."""
    random, wrong = np.random.default_rng(5), 0
    pairs = [("a", "b"), ("c", "d"), ("e", "f"), ("g", "h"), ("i", "j")]
    declared = CLAIMS.validate_python({"".join(pair): accurate(*pair) for pair in pairs})
    for _ in range(200):
        seen = random.normal(truth * len(pairs), 0.02)
        cells = accuracies(**dict(zip("abcdefghij", seen, strict=True)))
        found = judged(declared, evidence(cells=cells))
        wrong += any(one.outcome != "unresolved" for one in found.values())
    assert wrong <= 15


def test_the_excess_of_a_root_mean_square_over_simulated_images() -> None:
    """Its interval holds the truth, 1.3 less 1, in 92 to 98 of a hundred."""
    random, held = np.random.default_rng(0), 0
    for _ in range(400):
        shared = random.gamma(4, 1, 60)
        quantity = excess(
            1.3**2 * shared * random.gamma(8, 1 / 8, 60), shared * random.gamma(8, 1 / 8, 60)
        )
        low, high = quantity.interval(0.95)
        held += low <= 0.3 <= high
    assert 0.90 <= held / 400 <= 0.98


def test_the_closed_form_is_tried_on_a_chain_of_its_own() -> None:
    assert chain_deviation(LINEAR) < 1e-12
    two = np.array([0.5, 0.5])  # after two links of 0.5 a quarter of the variance is the image's
    assert np.cumprod(1 - two)[-1] == 0.25
    assert chain_deviation(two) < 1e-15


def drawn(**changes: Any) -> Drawn:
    known = {"sampler": "ddim", "steps": 10, "guidance": 1.0, "conditioning": "class"}
    return Drawn(**(known | {"evaluations": 10, "asked": True} | changes))


@pytest.mark.parametrize(
    ("name", "true", "false"),
    [
        ("passes", drawn(sampler="ddpm"), drawn(sampler="ddpm", evaluations=9)),
        ("ends", drawn(guidance=0.0, asked=False), drawn(guidance=0.0, asked=True)),
        ("ends", drawn(), drawn(evaluations=20)),
        ("twice", drawn(guidance=2.0, evaluations=20), drawn(guidance=2.0, evaluations=30)),
    ],
)
def test_counted_calls_can_contradict_an_identity(name: str, true: Drawn, false: Drawn) -> None:
    assert all(IDENTITIES[name]({}, {"c": true}).values())
    assert not all(IDENTITIES[name]({}, {"c": false}).values())


def test_a_schedule_that_leaves_signal_is_no_identity() -> None:
    assert all(IDENTITIES["destroyed"]({"run": LINEAR}, {}).values())
    assert list(IDENTITIES["destroyed"]({"run": LINEAR[:100]}, {}).values()) == [True, False]
    assert list(IDENTITIES["destroyed"]({"run": LINEAR[::-1]}, {}).values()) == [False, True]


SETTINGS = load_settings(REPOSITORY / "params.yaml")
PROSE = read_yaml(REPOSITORY / "src/mnist_diffusion/reporting/templates/claims.yaml")


def test_every_declared_claim_has_its_sentence_and_no_other_has() -> None:
    told = [(name, entry) for own in PROSE.values() for name, entry in own.items()]
    assert sorted(SETTINGS.claims) == sorted(name for name, _ in told)
    for _, entry in told:
        assert list(entry) == ["text", "test"]
        assert entry["text"].endswith(".") and entry["test"].endswith(".")


@pytest.mark.parametrize("name", SETTINGS.claims)
def test_a_claim_of_several_parts_can_fail(name: str) -> None:
    """All ask of one thing, so that all can: with one that always holds it would only depend."""
    kinds = {test.kind for test in SETTINGS.claims[name].tests}
    assert len(kinds) == 1 or name == "over-guided"  # whose signs can be missing at once


def test_the_network_is_a_question_that_the_gpu_scale_answers() -> None:
    base, scale = (REPOSITORY / name for name in ("params.yaml", "scales/gpu.yaml"))
    text = scaled(base.read_text(), scale.read_text(), "gpu")
    declared = parse_settings(parse_yaml(text, "gpu"), "gpu")
    [test] = declared.claims["decomposition"].tests
    for one in test.pairs[0]:
        assert declared.cells[one].run == one
    trained = [declared.runs[run].model_dump(exclude={"network"}) for run in test.pairs[0]]
    assert trained[0] == trained[1]
    assert SETTINGS.claims["decomposition"].tests[0].kind == "untestable"


def test_other_guides_are_held_against_the_unguided_cell() -> None:
    table = SETTINGS.tables.guidance
    guides = {cell for cell, one in SETTINGS.cells.items() if one.guide not in (None, "label")}
    guides = {cell for cell in guides if SETTINGS.cells[cell].run == "long"}
    assert guides and guides <= set(table.cells)


@pytest.mark.parametrize("name", SETTINGS.claims)
def test_what_is_declared_is_there(name: str) -> None:
    """A typo would make a claim untestable without anyone seeing."""
    for test in SETTINGS.claims[name].tests:
        pairs = getattr(test, "pairs", [])
        named = {*getattr(test, "cells", []), *(cell for pair in pairs for cell in pair)}
        assert named <= set(SETTINGS.cells)
        if hasattr(test, "metric"):
            assert test.metric in METRICS
        if test.kind == "effect" and test.level != "one-a-batch":
            analysis = SETTINGS.effects[test.of]
            keys = analysis.factors.get(test.factor, [])
            levels = {
                "/".join(str(getattr(SETTINGS.runs[SETTINGS.cells[cell].run], key)) for key in keys)
                for cell in analysis.cells
            }
            assert {test.level, test.base} <= (levels if keys else {*analysis.cells})
        if test.kind == "solver":
            assert {test.solver, test.baseline} <= set(SETTINGS.trajectories.solvers)
        if test.kind == "loss":
            assert test.run in SETTINGS.runs
        if test.kind == "rarest":
            assert test.cell in SETTINGS.cells
        if test.kind in ("fidelity", "ceiling", "cost"):
            assert {test.codec, getattr(test, "base", "real")} <= {"real", *SETTINGS.codecs}
        if test.kind in ("adherence", "seam"):
            drawn = getattr(SETTINGS, {"seam": "seams"}.get(test.kind, test.kind)).cells
            assert {test.cell, test.base} <= {"real", None, *drawn}


def test_bounds_are_told_in_the_units_of_their_statement() -> None:
    claims = CLAIMS.validate_python(
        {"it": {"family": FAMILY, "tests": [EFFECT | {"expect": {"below": 0.77}}]}}
    )
    [first, _] = judged(claims, evidence(effects=both(math.log(0.5))))["it"].statements
    assert first.bound == pytest.approx(0.77)
    assert first.interval[0] < first.estimate < first.interval[1]
    assert first.form == "ratio"
