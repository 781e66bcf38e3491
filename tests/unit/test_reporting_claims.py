"""Verdicts follow from the files by rule: the same claim turns with the numbers behind it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fake_evidence
import fake_results
import numpy as np
import pandas as pd
import pytest

from mnist_diffusion.files import paths
from mnist_diffusion.provenance.schemas.cell_reports import FdCurveReport
from mnist_diffusion.reporting.claim_list import claims
from mnist_diffusion.reporting.claims import Claim, ClaimOutcome, Verdict, versus
from mnist_diffusion.reporting.reading import load_results
from mnist_diffusion.reporting.sampling_claims import settled
from mnist_diffusion.reporting.training_claims import (
    chain_deviation,
    images_to,
    p2_by_thirds,
    ratio_of_spreads,
    savings,
)
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import P2, parse_settings


def content() -> dict[str, Any]:
    """What the claims are about, and no more."""
    whole = fake_results.read_yaml(fake_results.PARAMS)
    small = fake_results.small_content()
    small["runs"] |= {
        name: whole["runs"][name]
        for name in (
            "cosine-class",
            "cosine-class-p2",
            "cosine-class-importance",
            "cosine-class-epsilon",
            "cosine-class-x0",
            "cosine-uncond",
        )
    }
    plain = {"sampler": "dpm-solver-2", "steps": 20, "eta": 0.0, "guidance": 1.0}
    cells = {name: {"run": name, **plain} for name in small["runs"]}
    for name in ("cosine-uncond", "linear-uncond", "source-uncond"):
        cells[name] = cells[name] | {"guidance": 0.0}
    ours = {"run": "cosine-class-v"}
    cells |= {f"g{s}": {**plain, **ours, "guidance": float(s)} for s in (0, 2, 8, 16)}
    cells |= {f"ddim{n}": {**plain, **ours, "sampler": "ddim", "steps": n} for n in (20, 50)}
    cells["dpm5"] = {**plain, **ours, "steps": 5}
    long = {"sampler": "ddpm", "steps": 1000, "eta": 1.0, "guidance": 1.0}
    cells["ddpm1000"] = {**ours, **long}
    small["cells"] = cells
    ablations = [f"cosine-class{end}" for end in ("", "-p2", "-importance", "-epsilon", "-x0")]
    small["report"] = {"headline": "g2"}
    small["tables"] = fake_results.tables(
        schedules=["linear-uncond", "cosine-uncond", "linear-class", "cosine-class"],
        samplers=["ddpm1000", "ddim20", "ddim50", "dpm5", "cosine-class-v"],
        guidance=["g0", "cosine-class-v", "g2", "g8", "g16"],
        ablations=ablations,
        choices=["dpm5", "cosine-class-v"],
    )
    small["tstr"]["cells"] = ["cosine-class-v", "g16"]
    return fake_results.fitted(small)


SETTINGS = parse_settings(content(), "params.yaml")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("claims")
    fake_results.build(root, SETTINGS)
    return root


@pytest.fixture
def here(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The tree as the current folder; what a test changes in it is put back."""
    monkeypatch.chdir(tree)
    before = {p: p.read_text() for p in (tree / paths.REPORTS).rglob("*.json")}
    yield tree
    for path, text in before.items():
        path.write_text(text)


def outcome(name: str) -> ClaimOutcome:
    claim = next(claim for claim in claims() if claim.name == name)
    return claim.judge(load_results(SETTINGS))


def verdict(name: str) -> Verdict:
    return outcome(name).verdict


BOTH = ("relative_fd", "second_relative_fd")
"""The metrics of both networks."""


def set_metric(cell: str, metric: str, value: float, half: float = fake_evidence.HALF) -> None:
    """A metric of a cell; relative FD under both feature extractors."""
    path = paths.metrics(cell)
    report = json.loads(path.read_text())
    interval = fake_evidence.around(value, half)
    changes: dict[str, Any] = {metric: value}
    intervals = report["intervals"] | {metric: interval}
    if metric == "relative_fd":
        changes["second"] = report["second"] | {"relative_fd": value}
        intervals["second_relative_fd"] = interval
    fake_results.change(path, **changes, intervals=intervals)


def set_comparison(
    cell: str, difference: float, half: float, said: str, metrics: tuple[str, ...] = BOTH
) -> None:
    found = json.loads(paths.COMPARISONS.read_text())
    for one in found["comparisons"]:
        if one["cell"] == cell and one["metric"] in metrics:
            interval = fake_evidence.around(difference, half)
            one |= {"difference": difference, "interval": interval, "verdict": said}
    paths.COMPARISONS.write_text(json.dumps(found))


def test_the_closed_form_is_tried_on_a_chain_of_its_own() -> None:
    betas = np.linspace(1e-4, 0.02, 1000)
    assert chain_deviation(betas) < 1e-12
    # The oracle itself: after two links of 0.5 a quarter of the variance is the image's.
    two = np.array([0.5, 0.5])
    assert np.cumprod(1 - two)[-1] == 0.25
    assert chain_deviation(two) < 1e-15


def test_a_schedule_that_is_not_its_betas_fails_the_closed_form(here: Path) -> None:
    assert verdict("closed-form") is Verdict.HOLDS
    path = paths.model("linear-class") / "schedule.csv"
    text = path.read_text()
    frame = pd.read_csv(path).assign(alpha_bar=lambda f: f["alpha_bar"] * 0.999)
    frame.to_csv(path, index=False)
    try:
        assert verdict("closed-form") is Verdict.FAILS
    finally:
        path.write_text(text)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("better", Verdict.HOLDS),
        ("worse", Verdict.FAILS),
        ("not distinguishable", Verdict.UNTESTED),
    ],
)
def test_p2_is_judged_by_its_paired_comparison(here: Path, said: str, expected: Verdict) -> None:
    set_comparison("cosine-class-p2", -0.01, 0.001, said)
    assert verdict("p2-improves") is expected


@pytest.mark.parametrize("said", ["worse", "not distinguishable"])
def test_networks_that_disagree_make_a_claim_depend(here: Path, said: str) -> None:
    set_comparison("cosine-class-p2", -0.01, 0.001, "better")
    set_comparison("cosine-class-p2", 0.01, 0.001, said, BOTH[1:])
    assert verdict("p2-improves") is Verdict.DEPENDS
    told = outcome("p2-improves").reason
    assert f"better by the classifier's features and {said} by the autoencoder's" in told


def test_p2_weighs_the_noisiest_third_most(here: Path) -> None:
    weighting = P2(k=1.0, gamma=1.0, unit_mean=True)
    alpha_bar = pd.Series(np.linspace(0.999, 0.001, 999))
    # 1 / (1 + SNR) is 1 - alpha_bar.
    thirds = [part.mean() / 0.5 for part in np.split(1 - alpha_bar.to_numpy(), 3)]
    assert p2_by_thirds(alpha_bar, weighting) == pytest.approx(thirds)
    assert verdict("p2-middle") is Verdict.FAILS


@pytest.mark.parametrize(
    ("pace", "expected"), [(1.4, Verdict.HOLDS), (1.1, Verdict.FAILS), (0.7, Verdict.FAILS)]
)
def test_importance_is_judged_by_images_to_an_fd(
    here: Path, pace: float, expected: Verdict
) -> None:
    """At 1.4 times the pace 1 − 1/1.4 = 29 % of the images are saved, at 1.1 times 9 %."""
    path = paths.fd_curve("cosine-class-importance")
    path.write_text(json.dumps(fake_evidence.fd_curve("cosine-class-importance", pace)))
    assert verdict("importance-sampling") is expected


def test_images_to_an_fd_are_log_linear_between_points() -> None:
    run = FdCurveReport.model_validate(fake_evidence.fd_curve("run"))
    assert images_to(run, 2**-2.5) == pytest.approx(2.5 * 400 * 64)
    assert images_to(run, 2.0**-8) is None
    twice = FdCurveReport.model_validate(fake_evidence.fd_curve("run", 2.0))
    assert [mine / theirs for _, theirs, mine in savings(twice, run)] == pytest.approx([0.5] * 4)


@pytest.mark.parametrize(
    ("difference", "half", "expected"),
    [
        (0.0, 0.0001, Verdict.HOLDS),
        (0.1, 0.0001, Verdict.FAILS),
        (0.001, 0.1, Verdict.UNTESTED),
    ],
)
def test_ddim_loses_little_where_the_whole_interval_is_little(
    here: Path, difference: float, half: float, expected: Verdict
) -> None:
    for cell in ("ddim20", "ddim50"):
        set_comparison(cell, difference, half, "worse")
    assert verdict("ddim-steps") is expected


def test_one_of_two_ddims_makes_it_depend(here: Path) -> None:
    set_comparison("ddim20", 0.1, 0.001, "worse")
    set_comparison("ddim50", 0.0, 0.0001, "not distinguishable")
    assert verdict("ddim-steps") is Verdict.DEPENDS


def test_ddim_that_loses_under_one_feature_extractor_depends(here: Path) -> None:
    for cell in ("ddim20", "ddim50"):
        set_comparison(cell, 0.1, 0.0001, "worse", BOTH[:1])
        set_comparison(cell, -0.1, 0.0001, "better", BOTH[1:])
    assert verdict("ddim-steps") is Verdict.DEPENDS
    assert (
        "more by the classifier's features and little by the autoencoder"
        in outcome("ddim-steps").reason
    )


def test_schedules_that_only_the_judge_tells_apart_depend(here: Path) -> None:
    assert verdict("schedules-differ") is Verdict.HOLDS
    found = json.loads(paths.COMPARISONS.read_text())
    for one in found["comparisons"]:
        if one["table"] == "schedules" and one["metric"] == BOTH[1]:
            one["verdict"] = "not distinguishable"
    paths.COMPARISONS.write_text(json.dumps(found))
    assert verdict("schedules-differ") is Verdict.DEPENDS
    assert "not clearly by the autoencoder's" in outcome("schedules-differ").reason


def test_thousand_steps_are_too_slow_if_few_are_as_good(here: Path) -> None:
    assert verdict("thousand-passes") is Verdict.HOLDS
    for cell in ("ddim20", "ddim50", "dpm5", "cosine-class-v"):
        set_comparison(cell, 0.2, 0.01, "worse")
    assert verdict("too-slow") is Verdict.FAILS
    set_comparison("dpm5", 0.0, 0.01, "not distinguishable")
    assert verdict("too-slow") is Verdict.HOLDS


def test_over_guidance_shows_in_pixels_ink_and_fd(here: Path) -> None:
    assert verdict("over-guided") is Verdict.HOLDS
    assert "too much ink (from s = 8 on)" in outcome("over-guided").reason
    for cell in ("g8", "g16"):
        pixels = json.loads(paths.metrics(cell).read_text())["pixels"]
        fake_results.change(paths.metrics(cell), pixels=pixels | {"saturated": 0.36})
    assert verdict("over-guided") is Verdict.DEPENDS
    assert "too many full stroke pixels (nowhere up to s = 16)" in outcome("over-guided").reason
    for cell in ("g8", "g16"):
        pixels = json.loads(paths.metrics(cell).read_text())["pixels"]
        fake_results.change(paths.metrics(cell), pixels=pixels | {"mass": 103.0})
        set_metric(cell, "relative_fd", 0.01, half=0.01)
    assert verdict("over-guided") is Verdict.FAILS


def test_guidance_trades_only_where_intervals_are_apart(here: Path) -> None:
    assert verdict("guidance-trade") is Verdict.HOLDS
    set_metric("g16", "recall", 0.9, half=0.1)
    assert verdict("guidance-trade") is Verdict.DEPENDS


def test_label_dropout_is_judged_at_both_ends(here: Path) -> None:
    set_metric("g0", "relative_fd", 0.5)
    assert verdict("label-dropout") is Verdict.DEPENDS
    set_metric("cosine-class-v", "accuracy", 0.2)
    assert verdict("label-dropout") is Verdict.FAILS
    set_metric("g0", "relative_fd", 0.01)
    set_metric("cosine-class-v", "accuracy", 0.9)
    assert verdict("label-dropout") is Verdict.HOLDS


def test_a_comparison_reads_the_same_from_the_other_side(here: Path) -> None:
    results = load_results(SETTINGS)
    one, other = results.cells["cosine-class-p2"], results.cells["cosine-class"]
    there, back = versus(results, one, other, BOTH[0]), versus(results, other, one, BOTH[0])
    assert there.paired and back.paired
    assert back.difference == -there.difference
    assert (back.low, back.high) == (-there.high, -there.low)
    assert {there.verdict, back.verdict} == {"better", "worse"}


def test_cells_that_were_not_paired_are_compared_with_caution(here: Path) -> None:
    set_metric("g2", "relative_fd", 0.010, half=0.002)
    set_metric("dpm5", "relative_fd", 0.013, half=0.002)
    results = load_results(SETTINGS)
    found = versus(results, results.cells["g2"], results.cells["dpm5"], BOTH[0])
    assert not found.paired
    assert (found.low, found.high) == pytest.approx((-0.007, 0.001))
    assert found.verdict == "not distinguishable"


def test_steadier_gradients_are_told_with_an_interval() -> None:
    random = np.random.default_rng(1)
    ratio, low, high = ratio_of_spreads(random.normal(0, 1, 400), random.normal(0, 2, 400))
    assert low < ratio < high < 1
    _, low, high = ratio_of_spreads(random.normal(0, 1, 400), random.normal(0, 1, 400))
    assert low < 1 < high


def test_coarse_shapes_settle_before_fine_ones() -> None:
    """A wave of 2 cycles that comes at the first third, one of 10 that comes at the second."""
    place = np.arange(28) / 28
    coarse = np.tile(np.sin(2 * np.pi * 2 * place), (28, 1))
    fine = np.tile(np.sin(2 * np.pi * 10 * place), (28, 1))
    frames = np.stack([(t >= 3) * coarse + (t >= 6) * fine for t in range(10)])[:, None]
    assert settled(frames, 0, 3) == pytest.approx(3 / 9)
    assert settled(frames, 7, 20) == pytest.approx(6 / 9)


def test_what_is_not_declared_is_not_testable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = fake_results.load(tmp_path, monkeypatch, fake_results.small_content())
    found = {claim.name: claim.judge(results) for claim in claims()}
    for name in ("ddim-steps", "too-slow", "importance-sampling", "p2-improves", "latent", "text"):
        assert found[name].verdict is Verdict.UNTESTED
        assert found[name].reason
    assert found["closed-form"].verdict is Verdict.HOLDS


def test_every_figure_of_a_cell_names_a_cell_there_is(here: Path) -> None:
    results = load_results(SETTINGS)
    judged = [claim.judge(results) for claim in claims()]
    cells = {datum.cell for one in judged for datum in one.data} - {None}
    assert cells <= set(results.cells)
    assert sum(one.verdict is not Verdict.UNTESTED for one in judged) > 12
    assert len({claim.name for claim in claims()}) == len(claims())


@pytest.mark.parametrize(
    "path",
    [
        paths.COMPARISONS,
        paths.CALIBRATION,
        paths.tstr("g16"),
        paths.fd_curve("cosine-class-p2"),
    ],
    ids=str,
)
def test_a_missing_or_broken_input_is_refused_in_one_line(here: Path, path: Path) -> None:
    text = path.read_text()
    path.unlink()
    try:
        with pytest.raises(UserError, match=rf"^{path}: not found; run `dvc repro` first$"):
            load_results(SETTINGS)
        path.write_text("{}")
        with pytest.raises(UserError, match=rf"^{path}: \S+: field required; delete it and run"):
            load_results(SETTINGS)
    finally:
        path.write_text(text)


def test_a_comparison_with_a_cell_of_the_past_is_refused(here: Path) -> None:
    found = json.loads(paths.COMPARISONS.read_text())
    found["comparisons"][0]["cell"] = "former"
    paths.COMPARISONS.write_text(json.dumps(found))
    with pytest.raises(UserError, match="compares former, which"):
        load_results(SETTINGS)


def test_a_claim_says_where_it_stands_and_how_it_is_tested() -> None:
    source = {"Forward diffusion", "Reverse process", "Training loop", "Sampling", "Exercises"}
    source |= {"Classifier-free guidance", "Practical guidance scale ranges"}
    source |= {"Connection to Stable Diffusion"}
    for claim in claims():
        assert isinstance(claim, Claim)
        assert claim.section in source
        assert claim.text.endswith(".") and claim.test.endswith(".")


@pytest.mark.parametrize(
    ("verdict", "count", "told"),
    [
        (Verdict.HOLDS, 2, "2 hold"),
        (Verdict.HOLDS, 1, "1 holds"),
        (Verdict.DEPENDS, 3, "3 depend"),
        (Verdict.UNTESTED, 2, "2 not testable at this scale"),
    ],
)
def test_how_many_claims_are_what(verdict, count, told):
    assert verdict.of(count) == told
