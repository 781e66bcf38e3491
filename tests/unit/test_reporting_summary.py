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


def test_trainings_are_not_taken_for_repeats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seeds of trainings that differ in more say nothing of how often one is repeated."""
    content = fake_results.small_content()
    for place, run in enumerate(content["runs"].values()):
        run["seed"] = place
    results = fake_results.load(tmp_path / "one", monkeypatch, content)
    assert summary.repeats(results) == "none repeated under another seed"
    content["runs"]["linear-class-s9"] = {**content["runs"]["linear-class"], "seed": 9}
    seeded = {**content["cells"]["linear-class"], "run": "linear-class-s9"}
    content["cells"]["linear-class-s9"] = seeded
    content["tables"]["schedules"]["cells"].append("linear-class-s9")
    results = fake_results.load(tmp_path / "other", monkeypatch, content)
    arms = len(results.runs) - 1
    assert summary.repeats(results) == f"{arms} configurations under 1 or 2 seeds each"


def test_the_front_page_is_the_headline_and_no_winner(results: Results) -> None:
    """The lowest of many cells is lowest by luck too: the first fact is what was declared."""
    fake_results.change(paths.metrics("cosine-class-v"), fd_infinity=0.0001)
    headline = results.headline
    fake_results.change(
        paths.metrics(headline.name),
        **{"fd_infinity": 0.0123, "class_fd": 0.0791},
        intervals=headline.metrics.intervals | {"fd_infinity": [0.011, 0.013]},
    )
    changed = load_results(results.settings)
    told = summary.facts(changed)
    assert {fact.cell for fact in told} == {headline.name}
    assert told[0].label == "Headline, relative FD∞"
    assert told[0].value == f"1.23{SPACE}%"
    assert told[0].note.startswith("1.10 to 1.30 %; real-vs-real baseline 0.10")
    values = {fact.label: fact.value for fact in told}
    assert values["Headline, class-wise FD∞"] == f"7.91{SPACE}%"
    assert values["Headline, accuracy"] == f"{100 * headline.score('accuracy'):.1f}{SPACE}%"


def test_the_baseline_has_a_range_over_random_sets(results: Results) -> None:
    assert f"(0.08{SPACE}% to 0.12{SPACE}% over random sets)" in summary.facts(results)[0].note


def test_one_set_of_all_test_digits_has_no_range(results: Results) -> None:
    mean = {"mean": 0.001, "low": 0.001, "high": 0.001}
    path = paths.metrics(results.headline.name)
    fake_results.change(path, floors=read_json(path)["floors"] | {"fd_infinity": mean})
    fact = summary.facts(load_results(results.settings))[0]
    assert f"baseline 0.10{SPACE}%;" in fact.note


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
