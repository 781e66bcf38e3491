"""Sentences: each ranks only what may be ranked, and claims no more than was measured."""

import re
from pathlib import Path
from typing import Any

import fake_results
import pytest

from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.reporting import summary
from mnist_diffusion.reporting.reading import load_results
from mnist_diffusion.reporting.results import Results

SPACE = "\N{NO-BREAK SPACE}"


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    return fake_results.load(tmp_path, monkeypatch, guided_content())


def guided_content() -> dict[str, Any]:
    """Two runs, each at two guidance scales, beside the unconditional ones."""
    content = fake_results.small_content()
    linear = content["cells"]["linear-class"]
    content["cells"]["linear-class-g2"] = {**linear, "guidance": 2.0}
    content["tables"]["schedules"]["cells"] += ["linear-class-g2", "cosine-class-v-g2"]
    return content


def about_schedules(results: Results) -> list[str]:
    return [f.text for f in summary.findings(results) if f.section == "schedules"]


def test_a_sentence_ranks_one_conditioning_and_guidance(results: Results) -> None:
    groups = ["unconditional", "class-conditional, s = 1", "class-conditional, s = 2"]
    starts = [f"Noise schedules and conditioning, {group}: relative FD∞ from " for group in groups]
    texts = about_schedules(results)
    assert [text[: len(start)] for text, start in zip(texts, starts, strict=True)] == starts
    for text in texts:
        runs = re.findall(r"\((\S+?)\)", text)
        assert len(runs) == len(set(runs)) == 2


def test_a_lowest_that_only_one_feature_extractor_sees_is_told(results: Results) -> None:
    (text,) = about(results, "samplers")
    assert "autoencoder" not in text
    path = paths.metrics("cosine-class-v-ddim10")
    fake_results.change(path, second=read_json(path)["second"] | {"fd_infinity": 0.0001})
    (text,) = about(load_results(results.settings), "samplers")
    assert text.endswith("; by the autoencoder's features cosine-class-v-ddim10 is lowest.")


def test_training_seeds_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = fake_results.small_content()
    content["runs"]["linear-class-s1"] = {**content["runs"]["linear-class"], "seed": 1}
    seeded = {**content["cells"]["linear-class"], "run": "linear-class-s1"}
    content["cells"]["linear-class-s1"] = seeded
    content["tables"]["schedules"]["cells"].append("linear-class-s1")
    results = fake_results.load(tmp_path, monkeypatch, content)
    assert summary.seeds(results) == "2 training seeds"


def test_the_lowest_and_its_rivals_are_read_off_the_metrics(results: Results) -> None:
    fake_results.change(paths.metrics("cosine-class-v"), fd_infinity=0.0012345)
    changed = load_results(results.settings)
    lowest = summary.facts(changed)[0]
    asked = [cell for cell in changed.cells.values() if cell.asked]
    assert (lowest.value, lowest.cell) == (f"0.12{SPACE}%", "cosine-class-v")
    assert lowest.label == f"Lowest relative FD∞ of {len(asked)} class cells"


def baseline(results: Results) -> summary.Fact:
    (fact,) = (fact for fact in summary.facts(results) if fact.label.startswith("Real-vs-real"))
    return fact


def test_the_baseline_has_a_range_over_random_sets(results: Results) -> None:
    assert f"0.08{SPACE}% to 0.12{SPACE}%" in baseline(results).note


def test_one_set_of_all_test_digits_has_no_range(results: Results) -> None:
    mean = {"mean": 0.001, "low": 0.001, "high": 0.001}
    path = paths.metrics(results.headline.name)
    fake_results.change(path, floors=read_json(path)["floors"] | {"fd_infinity": mean})
    fact = baseline(load_results(results.settings))
    assert fact.value == f"0.10{SPACE}%"
    assert " to " not in fact.note


def about(results: Results, section: str) -> list[str]:
    return [f.text for f in summary.findings(results) if f.section == section]


def test_single_choices_are_told_by_their_extent(results: Results) -> None:
    for cell, fd in (("cosine-class-v", 0.02), ("cosine-class-zero-snr", 0.03)):
        second = read_json(paths.metrics(cell))["second"] | {"fd_infinity": fd}
        fake_results.change(paths.metrics(cell), fd_infinity=fd, second=second)
    assert about(load_results(results.settings), "ablations") == [
        "Training choices, 20 steps of DPM-Solver++(2M), class-conditional, s = 1: relative FD∞ "
        f"from 2.00{SPACE}% (cosine-class-v) to 3.00{SPACE}% (cosine-class-zero-snr)."
    ]


def test_lesser_choices_are_compared_only_where_all_else_is_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = fake_results.small_content()
    content["tables"]["choices"]["cells"] += ["cosine-class-v-ddim10", "cosine-class-v-g2"]
    (text,) = about(fake_results.load(tmp_path, monkeypatch, content), "choices")
    assert text.startswith("Sampling choices, cosine-class-v, 10 steps of DPM-Solver++(2M), ")
    assert "ddim" not in text
    assert "g2" not in text


def test_the_front_page_counts_every_class_cell(results: Results) -> None:
    """Whatever a cell is there for: "of all" must mean all."""
    asked = [cell for cell in results.settings.cells.values() if cell.guidance > 0]
    assert f" of {len(asked)} class cells" in summary.facts(results)[0].label
    fake_results.change(paths.metrics("cosine-class-v-dpm10-leading"), fd_infinity=0.001)
    changed = load_results(results.settings)
    assert summary.facts(changed)[0].cell == "cosine-class-v-dpm10-leading"
    assert not any("leading" in text for text in about(changed, "samplers"))
