"""Sentences: each ranks only what may be ranked, and claims no more than was measured."""

import re
from pathlib import Path
from typing import Any

import fake_results
import pytest

from mnist_diffusion.files import paths
from mnist_diffusion.reporting import findings, verdict
from mnist_diffusion.reporting.results import Results, load_results

SPACE = "\N{NO-BREAK SPACE}"


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    return fake_results.load(tmp_path, monkeypatch, guided_content())


def guided_content() -> dict[str, Any]:
    """Two runs, each at two guidance scales, beside the unconditional ones."""
    content = fake_results.small_content()
    linear = content["cells"]["linear-class"]
    content["cells"]["linear-class-g2"] = {**linear, "guidance": 2.0}
    content["report"]["schedules"] += ["linear-class-g2", "cosine-class-v-g2"]
    return content


def about_schedules(results: Results) -> list[str]:
    return [f.text for f in findings.findings(results) if f.section == "schedules"]


def test_a_sentence_ranks_one_conditioning_and_guidance(results: Results) -> None:
    starts = ["Unconditional: ", "Class-conditional, s = 1: ", "Class-conditional, s = 2: "]
    texts = about_schedules(results)
    assert [text[: len(start)] for text, start in zip(texts, starts, strict=True)] == starts
    for text in texts:
        runs = re.findall(r"\((\S+?)[,)]", text)
        assert len(runs) == len(set(runs)) == 2


def test_the_loss_is_named_where_it_differs(results: Results) -> None:
    unconditional, plain, _ = about_schedules(results)
    assert "-MSE" not in unconditional
    assert "(linear-class, ε-MSE)" in plain
    assert "(cosine-class-v, v-MSE)" in plain


def test_the_baseline_is_told_apart(results: Results) -> None:
    epochs = results.runs["source-uncond"].epochs
    assert epochs == pytest.approx(2800 * 64 / 55_000)
    told = f"(source-uncond, the source's network after {epochs:.2f} epochs)"
    assert told in about_schedules(results)[0]


def test_training_seeds_are_taken_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = fake_results.small_content()
    content["runs"]["linear-class-s1"] = {**content["runs"]["linear-class"], "seed": 1}
    seeded = {**content["cells"]["linear-class"], "run": "linear-class-s1"}
    content["cells"]["linear-class-s1"] = seeded
    content["report"]["schedules"].append("linear-class-s1")
    results = fake_results.load(tmp_path, monkeypatch, content)
    assert any("over 2 seeds" in text for text in about_schedules(results))
    trained = verdict.caveats(results)[0]
    assert trained.startswith("2 training seeds of the schedules, each with its own row; the ")
    assert "the training choices have but one." in trained


def test_two_ways_of_drawing_a_run_are_no_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = fake_results.small_content()
    content["report"]["schedules"] = ["cosine-class-v", "cosine-class-v-ddim10"]
    results = fake_results.load(tmp_path, monkeypatch, content)
    (text,) = about_schedules(results)
    assert "seeds" not in text
    assert all(f"({name})" in text for name in content["report"]["schedules"])


def test_the_lowest_and_its_rivals_are_read_off_the_metrics(results: Results) -> None:
    fake_results.change(paths.metrics("cosine-class-v"), relative_fd=0.0012345)
    changed = load_results(results.settings)
    lowest = verdict.facts(changed)[0]
    asked = [cell for cell in changed.cells.values() if cell.asks_for_digits]
    assert (lowest.value, lowest.cell) == (f"0.12{SPACE}%", "cosine-class-v")
    assert lowest.label == f"Lowest relative FD of {len(asked)} class cells"


def yardstick(results: Results) -> verdict.Fact:
    (fact,) = (fact for fact in verdict.facts(results) if fact.label.startswith("Yardstick"))
    return fact


def test_the_yardstick_has_a_range_over_random_sets(results: Results) -> None:
    assert f"0.08{SPACE}% to 0.12{SPACE}%" in yardstick(results).note


def test_one_set_of_all_test_digits_has_no_range(results: Results) -> None:
    mean = {"mean": 0.001, "low": 0.001, "high": 0.001}
    floor = dict.fromkeys(("fd", "relative_fd", "accuracy"), mean)
    floors = {str(results.headline.metrics.n): floor}
    fake_results.change(paths.REFERENCE_REPORT, floors=floors)
    fact = yardstick(load_results(results.settings))
    assert fact.value == f"0.10{SPACE}%"
    assert " to " not in fact.note


def test_caveats_promise_nothing(results: Results) -> None:
    said = " ".join(verdict.caveats(results))
    for words in (
        "One training seed",
        "Intervals are 95 %",
        "looks better than it is",
        "Inception FID",
        "a yardstick, not a bound",
        "9.0 to 11.2 %",
    ):
        assert words in said, words


def test_samplers_are_named_as_in_the_literature(results: Results) -> None:
    (text,) = (f.text for f in findings.findings(results) if f.section == "samplers")
    assert "DPM-Solver++(2M)" in text or "DDIM" in text
    assert "dpm-solver" not in text


def about(results: Results, section: str) -> list[str]:
    return [f.text for f in findings.findings(results) if f.section == section]


def test_single_choices_are_told_by_their_extent(results: Results) -> None:
    for cell, fd in (("cosine-class-v", 0.02), ("cosine-class-zero-snr", 0.03)):
        fake_results.change(paths.metrics(cell), relative_fd=fd)
    assert about(load_results(results.settings), "ablations") == [
        "Training choices, 20 steps of DPM-Solver++(2M), class-conditional, s = 1: relative FD "
        f"from 2.00{SPACE}% (cosine-class-v) to 3.00{SPACE}% (cosine-class-zero-snr)."
    ]


def test_lesser_choices_are_compared_only_where_all_else_is_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = fake_results.small_content()
    content["report"]["choices"] += ["cosine-class-v-ddim10", "cosine-class-v-g2"]
    (text,) = about(fake_results.load(tmp_path, monkeypatch, content), "choices")
    assert text.startswith("Sampling choices, 10 steps of DPM-Solver++(2M), ")
    assert "ddim" not in text
    assert "g2" not in text


def test_the_front_page_counts_every_class_cell(results: Results) -> None:
    """Whatever a cell is there for: "of all" must mean all."""
    asked = [cell for cell in results.settings.cells.values() if cell.guidance > 0]
    assert f" of {len(asked)} class cells" in verdict.facts(results)[0].label
    fake_results.change(paths.metrics("cosine-class-v-dpm10-leading"), relative_fd=0.001)
    changed = load_results(results.settings)
    assert verdict.facts(changed)[0].cell == "cosine-class-v-dpm10-leading"
    assert not any("leading" in text for text in about(changed, "samplers"))
