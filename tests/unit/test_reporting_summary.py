"""The front page: the headline that was declared, and no more than was measured."""

from dataclasses import replace
from pathlib import Path

import fake_results
import pytest

from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.reporting import choice_charts, frames, summary
from mnist_diffusion.reporting.reading import load_results
from mnist_diffusion.reporting.results import Results

SPACE = "\N{NO-BREAK SPACE}"
SETTINGS = fake_results.small_settings()


def test_trainings_are_not_taken_for_repeats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seeds of trainings that differ in more say nothing of how often one is repeated."""
    content = fake_results.small_content()
    for place, run in enumerate(content["runs"].values()):
        run["seed"] = place
    results = fake_results.load(tmp_path / "one", monkeypatch, content)
    assert summary.repeats(results) == "none repeated under another seed"
    fake_results.add_seed(content, "linear-class", 9)
    results = fake_results.load(tmp_path / "other", monkeypatch, content)
    arms = len(results.runs) - 1
    assert summary.repeats(results) == f"{arms} configurations under 1 or 2 seeds each"


@pytest.mark.usefixtures("reported_copy")
def test_the_front_page_is_the_headline_and_no_winner() -> None:
    """The lowest of many cells is lowest by luck too: the first fact is what was declared."""
    fake_results.change(paths.metrics("cosine-class-v"), fd_infinity=0.0001)
    headline = load_results(SETTINGS).headline
    fake_results.change(
        paths.metrics(headline.name),
        **{"fd_infinity": 0.0123, "class_fd": 0.0791},
        intervals=headline.metrics.intervals | {"fd_infinity": [0.011, 0.013]},
    )
    told = summary.facts(load_results(SETTINGS))
    assert told[0]["label"] == "Headline, relative FD∞"
    assert told[0]["value"] == f"1.23{SPACE}%"
    assert told[0]["note"].startswith("1.10 to 1.30 %; real-vs-real baseline 0.10")
    values = {fact["label"]: fact["value"] for fact in told}
    assert values["Headline, class-wise FD∞"] == f"7.91{SPACE}%"
    assert values["Headline, accuracy"] == f"{100 * headline.score('accuracy'):.1f}{SPACE}%"


def test_the_baseline_has_a_range_over_random_sets(results: Results) -> None:
    assert f"(0.08{SPACE}% to 0.12{SPACE}% over random sets)" in summary.facts(results)[0]["note"]


@pytest.mark.usefixtures("reported_copy")
def test_one_set_of_all_test_digits_has_no_range() -> None:
    mean = {"mean": 0.001, "low": 0.001, "high": 0.001}
    path = paths.metrics(SETTINGS.report.headline)
    fake_results.change(path, floors=read_json(path)["floors"] | {"fd_infinity": mean})
    fact = summary.facts(load_results(SETTINGS))[0]
    assert f"baseline 0.10{SPACE}%;" in fact["note"]


def test_real_digits_stand_beside_cells_of_as_many_images(results: Results) -> None:
    """A headline of more images than the rest tells what real ones score at its own n alone."""
    mine = results.headline
    real = {"mean": 0.0003, "low": 0.0002, "high": 0.0004}
    floors = mine.metrics.floors.model_copy(update={"fd_infinity": real, "kid": real})
    judged = mine.metrics.model_copy(update={"n": 2000, "floors": floors})
    cells = results.cells | {mine.name: replace(mine, metrics=judged)}
    results = replace(results, cells=cells)
    row, rest = frames.real_scores(results), next(iter(cells.values())).metrics
    assert row["n"] == rest.n == 60
    assert row["kid_text"] == frames.score_text("kid", 0.001, [0.001, 0.001])
    (cost,) = choice_charts.cost(results)
    (band,) = (rows[0] for rows in cost.spec["datasets"].values() if "mean" in rows[0])
    assert band["mean"] == pytest.approx(100 * rest.floors.fd_infinity.mean)
    note = summary.facts(results)[0]["note"]
    assert "baseline 0.03" in note and note.endswith("2,000")
