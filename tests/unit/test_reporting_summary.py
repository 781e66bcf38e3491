"""The front page: the headline that was declared, and no more than was measured."""

from pathlib import Path

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
    return fake_results.load(tmp_path, monkeypatch, fake_results.small_content())


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
