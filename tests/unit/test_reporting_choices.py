"""Single choices: what changed is read off the settings, and only like is ranked with like."""

from pathlib import Path
from typing import Any

import fake_results
import pytest

from mnist_diffusion.reporting.labels import departures
from mnist_diffusion.reporting.results import Results
from mnist_diffusion.reporting.table_list import all_tables
from mnist_diffusion.reporting.tables import Table
from mnist_diffusion.settings import parse_settings

ABLATIONS = [
    "cosine-class",
    "cosine-class-p2",
    "cosine-class-min-snr",
    "cosine-class-importance",
    "cosine-class-epsilon",
    "cosine-class-x0",
    "cosine-class-v",
    "cosine-class-zero-snr",
]
CHOICES = [
    "cosine-class-v-g4-interval",
    "cosine-class-v-dpm10",
    "cosine-class-v-dpm10-leading",
    "cosine-class-v-g4",
    "cosine-class-v-g4-rescale",
    "cosine-class-v-g4-dynamic",
]


def content() -> dict[str, Any]:
    """The laptop's training choices and some of its sampling choices."""
    whole = fake_results.whole_content()
    small = fake_results.small_content()
    names = [*small["cells"], *ABLATIONS, *CHOICES]
    small["cells"] = {name: whole["cells"][name] for name in names}
    drawn = [cell["run"] for cell in small["cells"].values()]
    small["runs"] = {name: run for name, run in whole["runs"].items() if name in drawn}
    small["tables"] |= fake_results.tables(ablations=ABLATIONS, choices=CHOICES)
    return small


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    with pytest.MonkeyPatch.context() as patch:
        return fake_results.load(tmp_path_factory.mktemp("repository"), patch, content())


def column(table: Table, title: str) -> list[str]:
    place = [column.title for column in table.columns].index(title)
    return [row[place].text for row in table.rows()]


def titles(table: Table) -> list[str]:
    return [column.title for column in table.columns]


def test_each_training_choice_says_what_changed(results: Results) -> None:
    table = all_tables(results)["ablations"]
    assert column(table, "cell") == ABLATIONS
    assert column(table, "changed") == [
        "–", "loss", "loss", "timesteps", "network output", "network output", "loss",
        "terminal SNR, from cosine-class-v",
    ]  # fmt: skip
    assert column(table, "loss minimised")[:3] == ["ε-MSE", "P2", "min-SNR"]
    assert column(table, "network output")[3:6] == ["v", "ε", "x₀"]
    assert column(table, "timesteps")[3] == "importance"
    assert column(table, "terminal SNR") == ["2e-09"] * 7 + ["0"]


def test_the_best_training_choice_is_one_of_all_drawn_alike(results: Results) -> None:
    table = all_tables(results)["ablations"]
    place = titles(table).index("relative FD∞, %")
    assert sum(row[place].best for row in table.rows()) == 1
    assert not {"training seed", "steps", "sampler"} & set(titles(table))


def test_what_the_training_choices_do_not_show_is_said(results: Results) -> None:
    assert all_tables(results)["ablations"].note == (
        "Each run differs from cosine-class in what is said to be changed. Each is one training: "
        "small differences settle nothing."
    )


def test_a_run_that_differs_in_more_is_not_passed_off_as_one_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = fake_results.small_content()
    names = ["linear-class", "cosine-class-v", "cosine-class-v-ddim10"]
    small["tables"]["ablations"]["cells"] = names
    table = all_tables(fake_results.load(tmp_path, monkeypatch, small))["ablations"]
    assert column(table, "changed")[:2] == ["–", "schedule and loss"]
    assert "bold" in table.caption and "where drawn alike" in table.caption
    assert column(table, "steps") == ["20", "20", "10"]


def test_lesser_choices_stand_beside_what_they_compete_with(results: Results) -> None:
    table = all_tables(results)["choices"]
    assert column(table, "cell") == [
        "cosine-class-v-g4-interval",
        "cosine-class-v-g4",
        "cosine-class-v-g4-rescale",
        "cosine-class-v-g4-dynamic",
        "cosine-class-v-dpm10",
        "cosine-class-v-dpm10-leading",
    ]
    assert column(table, "guided at") == ["0.2 to 2", "all", "all", "all", "–", "–"]
    assert column(table, "rescale φ") == ["0", "0", "0.7", "0", "–", "–"]
    assert column(table, "bound") == ["clip", "clip", "clip", "dynamic 0.995", "clip", "clip"]
    assert column(table, "spacing")[-2:] == ["trailing", "leading"]
    assert column(table, "signal at first step")[-2:] == ["4.5e-05", "0.15"]
    assert column(table, "network evaluations")[:2] == ["26", "40"]


def test_lesser_choices_have_a_best_per_group(results: Results) -> None:
    table = all_tables(results)["choices"]
    place = titles(table).index("relative FD∞, %")
    best = {row[0].text for row in table.rows() if row[place].best}
    lowest = table.frame.groupby("group")["fd_infinity_percent"].idxmin()
    assert len(lowest) == 2
    assert best == set(table.frame.loc[lowest, "cell"])


def test_other_tables_name_departures_only_where_there_are_some(results: Results) -> None:
    cells = all_tables(results)["cells"]
    told = dict(zip(column(cells, "cell"), column(cells, "otherwise"), strict=True))
    assert told["cosine-class-v"] == "–"
    assert told["cosine-class-v-dpm10-leading"] == "leading spacing"
    assert told["cosine-class-v-g4-interval"] == "guided at noise / signal 0.2 to 2"
    assert told["cosine-class-v-g4-rescale"] == "rescale 0.7"
    assert told["cosine-class-v-g4-dynamic"] == "bound dynamic 0.995"
    for table in ("schedules", "samplers", "guidance"):
        assert "otherwise" not in titles(all_tables(results)[table])


def test_what_cannot_take_effect_is_no_departure() -> None:
    small = content()
    small["cells"]["cosine-class-v"]["guidance_interval"] = [0.2, 2.0]
    settings = parse_settings(small, "params.yaml")
    assert departures(settings.cell("cosine-class-v"), settings.sample) == ""


def test_provenance_knows_each_cells_choices(results: Results) -> None:
    table = all_tables(results)["provenance"]
    rows = {row[0].text: dict(zip(titles(table), row, strict=True)) for row in table.rows()}
    assert rows["cosine-class-v-g4-interval"]["guided at"].text == "0.2 to 2"
    assert rows["cosine-class-v-g4-rescale"]["rescale φ"].text == "0.7"
    assert rows["cosine-class-v-g4-dynamic"]["bound on x₀"].text == "dynamic 0.995"
    assert rows["cosine-class-zero-snr"]["log-SNR"].text == "9.2 to −∞"
    assert rows["cosine-class-v"]["log-SNR"].text == "9.2 to -10.1"


def test_provenance_leaves_out_what_no_cell_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = fake_results.small_content()
    shown = titles(all_tables(fake_results.load(tmp_path, monkeypatch, small))["provenance"])
    assert not {"guided at", "rescale φ"} & set(shown)
    assert {"spacing", "bound on x₀"} <= set(shown)


def test_the_runs_say_how_each_was_trained(results: Results) -> None:
    table = all_tables(results)["runs"]
    schedules = dict(zip(column(table, "run"), column(table, "schedule"), strict=True))
    assert schedules["cosine-class-zero-snr"] == "cosine, zero SNR"
    assert schedules["cosine-class-v"] == "cosine"
    assert {"stratified", "uniform", "importance"} == set(column(table, "timesteps"))
    assert "recipe" not in titles(table)
    assert "recipe" in table.frame
    assert {"zero_terminal_snr", "weighting"} <= set(table.frame)
