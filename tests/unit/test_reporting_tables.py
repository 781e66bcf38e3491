"""Tables: the right cells, what is read off the settings, and like ranked with like alone."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_results
import pandas as pd
import pytest
from fake_results import ABLATIONS

from mnist_diffusion.evaluation.metrics import METRICS
from mnist_diffusion.files import paths
from mnist_diffusion.reporting.labels import departures
from mnist_diffusion.reporting.reading import load_results
from mnist_diffusion.reporting.results import Results
from mnist_diffusion.reporting.table_list import all_tables
from mnist_diffusion.reporting.tables import Column, Spec, Table
from mnist_diffusion.settings import parse_settings

SETTINGS = fake_results.small_settings()
KEYS_OF = ("{}", "{}_percent", "{}_text")


@pytest.fixture(scope="module")
def tables(results: Results) -> dict[str, Table]:
    return all_tables(results)


@pytest.fixture(scope="module")
def choices(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Table]:
    """Of the laptop's training choices and some of its sampling choices."""
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("repository")
        return all_tables(fake_results.load(root, patch, fake_results.choices_content()))


def titles(table: Table) -> list[str]:
    return [column.title for column in table.columns]


def column(table: Table, title: str) -> list[str]:
    place = titles(table).index(title)
    return [row[place].text for row in table.rows()]


def shown(table: Table, cell: str, title: str) -> str:
    return column(table, title)[column(table, table.columns[0].title).index(cell)]


def best(table: Table, title: str) -> set[str]:
    place = titles(table).index(title)
    return {row[0].text for row in table.rows() if row[place].best}


@pytest.mark.usefixtures("reported_copy")
def test_percentages_are_those_of_the_metrics() -> None:
    cell = "cosine-class-v"
    fake_results.change(paths.metrics(cell), fd_infinity=0.012345, accuracy=0.98765)
    table = all_tables(load_results(SETTINGS))["samplers"]
    assert shown(table, cell, "relative FD∞, %") == "1.23"
    assert shown(table, cell, "accuracy, %") == "98.8"
    frame = table.frame.set_index("cell")
    assert frame.loc[cell, "fd_infinity_percent"] == pytest.approx(1.2345)
    assert frame.loc[cell, "accuracy_percent"] == pytest.approx(98.765)


def test_cost_comes_from_the_sidecars_and_may_lack(tables: dict[str, Table]) -> None:
    table = tables["samplers"]
    assert shown(table, "cosine-class-v", "seconds") == "3.0"
    assert shown(table, "cosine-class-v", "ms per image") == "50.00"
    assert shown(table, "cosine-class-v-ddim10", "seconds") == "n/a"
    assert "n/a" not in table.to_csv()


def test_each_table_holds_exactly_its_declared_cells(tables: dict[str, Table]) -> None:
    declared = SETTINGS.tables
    assert sorted(tables["schedules"].frame["cell"]) == sorted(declared.schedules.cells)
    assert sorted(tables["samplers"].frame["cell"]) == sorted(declared.samplers.cells)
    assert list(tables["guidance"].frame["cell"]) == declared.guidance.cells
    assert list(tables["cells"].frame["cell"]) == list(SETTINGS.cells)
    assert tables["provenance"].anchors() == list(SETTINGS.cells)


GUIDED = ["cosine-class-v-g2", "linear-class", "linear-uncond", "cosine-class-v", "source-uncond"]


@pytest.fixture
def guided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    """A schedules table of two guidance scales, declared in no good order."""
    content = fake_results.small_content()
    linear = content["cells"]["linear-class"]
    content["cells"]["linear-class-g2"] = {**linear, "guidance": 2.0}
    content["tables"]["schedules"]["cells"] = [*GUIDED, "linear-class-g2"]
    return all_tables(fake_results.load(tmp_path, monkeypatch, content))["schedules"]


def test_schedules_are_ordered_by_conditioning_and_guidance(guided: Table) -> None:
    conditions = guided.frame[["conditioning", "guidance"]].fillna(-1).to_numpy().tolist()
    assert conditions == [
        *[["uncond", -1]] * 2,
        *[["class", 1]] * 2,
        *[["class", 2]] * 2,
    ]
    assert shown(guided, "linear-uncond", "guidance s") == "–"
    assert shown(guided, "linear-class", "guidance s") == "1"
    assert shown(guided, "linear-class-g2", "guidance s") == "2"


def test_no_single_training_is_crowned_among_the_schedules(
    guided: Table, tables: dict[str, Table]
) -> None:
    assert not any(value.best for row in guided.rows() for value in row)
    assert "bold" not in guided.spec.caption
    assert any(value.best for row in tables["samplers"].rows() for value in row)


def test_schedules_say_how_they_were_drawn_where_they_differ(
    guided: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "sampler" not in titles(guided)
    content = fake_results.small_content()
    content["tables"]["schedules"]["cells"] = ["cosine-class-v", "cosine-class-v-ddim10"]
    mixed = all_tables(fake_results.load(tmp_path, monkeypatch, content))["schedules"]
    assert shown(mixed, "cosine-class-v-ddim10", "sampler") == "DDIM"
    assert shown(mixed, "cosine-class-v-ddim10", "steps") == "10"
    assert "loss minimised" not in titles(mixed)


def test_the_loss_stands_where_it_differs(guided: Table, tables: dict[str, Table]) -> None:
    assert shown(guided, "cosine-class-v", "loss minimised") == "v-MSE"
    assert shown(guided, "linear-class", "loss minimised") == "ε-MSE"
    assert shown(guided, "source-uncond", "timesteps") == "uniform"
    assert shown(guided, "linear-class", "timesteps") == "stratified"
    assert shown(tables["runs"], "cosine-class-v", "loss minimised") == "v-MSE"
    assert shown(tables["runs"], "source-uncond", "loss minimised") == "ε-MSE"


def test_the_baseline_is_not_taken_for_the_source(tables: dict[str, Table]) -> None:
    assert "the source trains for 10" in tables["runs"].note
    assert "source" not in tables["samplers"].note


def test_training_seeds_get_a_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = fake_results.small_content()
    fake_results.add_seed(content, "linear-class", 1)
    table = all_tables(fake_results.load(tmp_path, monkeypatch, content))["schedules"]
    assert "training seed" in titles(table)


def test_per_class_starts_with_real_digits(results: Results) -> None:
    rows = all_tables(results)["per-class"].rows()
    assert [value.text for value in rows[0][:3]] == ["real test set", "99.0", "99.1"]
    assert not any(value.best for value in rows[0])
    assert {row[0].text for row in rows[1:]} == {
        cell.name for cell in results.cells.values() if cell.asked
    }


def table_of(values: list[float], *, ns: list[int] | None = None, same_n: bool = False) -> Table:
    frame = pd.DataFrame({"x": values, "n": ns or 1})
    spec = Spec("t", "T", "x", "x=y")
    return Table(spec, frame, [Column("x", "x", "{:.1f}", "min", same_n=same_n)])


@pytest.mark.parametrize(
    ("values", "crowned"),
    [
        ([2.0, 1.0, 3.0], [False, True, False]),
        ([1.01, 1.02, 3.0], [True, True, False]),
        ([1.01, 1.02, float("nan")], [False, False, False]),
        ([float("nan"), float("nan")], [False, False]),
    ],
)
def test_the_best_is_what_reads_best(values: list[float], crowned: list[bool]) -> None:
    assert [row[0].best for row in table_of(values).rows()] == crowned


@pytest.mark.parametrize(
    ("same_n", "crowned"), [(True, [False, False, True]), (False, [True, False, False])]
)
def test_what_moves_with_n_is_never_ranked_across_n(same_n: bool, crowned: list[bool]) -> None:
    table = table_of([1.0, 3.0, 2.0], ns=[500, 2000, 2000], same_n=same_n)
    assert [row[0].best for row in table.rows()] == crowned


def test_what_is_published_may_have_another_name() -> None:
    assert table_of([2.0, 1.0]).to_csv() == "y\n2\n1\n"


def test_a_row_has_a_value_per_column(tables: dict[str, Table]) -> None:
    for table in tables.values():
        assert {len(row) for row in table.rows()} == {len(table.columns)}
        assert len(table.rows()) == len(table.frame)
        assert len(table.to_csv().splitlines()) == len(table.frame) + 1


def test_every_metric_is_in_some_table(tables: dict[str, Table]) -> None:
    keys = {column.key for table in tables.values() for column in table.columns}
    shown = {name for name in METRICS for key in KEYS_OF if key.format(name) in keys}
    assert set(METRICS) - shown == {"second_fd"}


def test_ranks_and_disagreements_are_shown(tables: dict[str, Table]) -> None:
    ranks = tables["ranks"].frame
    assert list(ranks["rank"]) == list(range(1, len(SETTINGS.cells) + 1))
    assert ranks["by_others"][0].startswith(f"seed-1: {len(ranks)}, ")
    assert ranks["rank_range"][0] == len(ranks) - 1
    (row,) = tables["disagreements"].frame.to_dict("records")
    by, against = sorted((row["nearer_by"], row["farther_by"]))
    assert by.startswith("classifier ") and against.startswith("seed-1 ")
    assert row["nearer_by"].partition(" ")[2][0] == "-"


def test_without_disagreements_there_is_no_table(results: Results) -> None:
    agreed = results.ranks.model_copy(update={"disagreements": []})
    assert "disagreements" not in all_tables(replace(results, ranks=agreed))


def test_each_training_choice_says_what_changed(choices: dict[str, Table]) -> None:
    table = choices["ablations"]
    assert column(table, "cell") == ABLATIONS
    assert column(table, "changed") == [
        "–", "loss", "loss", "loss", "timesteps", "network output", "network output",
        "terminal SNR, from cosine-class-v",
    ]  # fmt: skip
    assert column(table, "loss minimised")[:4] == ["ε-MSE", "v-MSE", "P2", "min-SNR"]
    assert column(table, "network output")[4:7] == ["v", "ε", "x₀"]
    assert column(table, "timesteps")[4] == "importance"
    assert column(table, "terminal SNR") == ["2e-09"] * 7 + ["0"]


def test_the_best_training_choice_is_one_of_all_drawn_alike(choices: dict[str, Table]) -> None:
    assert len(best(choices["ablations"], "relative FD∞, %")) == 1
    assert not {"training seed", "steps", "sampler"} & set(titles(choices["ablations"]))


def test_a_run_that_differs_in_more_is_not_passed_off_as_one_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = fake_results.small_content()
    names = ["linear-class", "cosine-class-v", "cosine-class-v-ddim10"]
    small["tables"]["ablations"]["cells"] = names
    table = all_tables(fake_results.load(tmp_path, monkeypatch, small))["ablations"]
    assert column(table, "changed")[:2] == ["–", "schedule and loss"]
    assert "bold" in table.spec.caption and "where drawn alike" in table.spec.caption
    assert column(table, "steps") == ["20", "20", "10"]


def test_lesser_choices_stand_beside_what_they_compete_with(choices: dict[str, Table]) -> None:
    table = choices["choices"]
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


def test_lesser_choices_have_a_best_per_group(choices: dict[str, Table]) -> None:
    table = choices["choices"]
    lowest = table.frame.groupby("run_and_drawing")["fd_infinity_percent"].idxmin()
    assert len(lowest) == 2 and table.to_csv().startswith("group,")
    assert best(table, "relative FD∞, %") == set(table.frame.loc[lowest, "cell"])


def test_other_tables_name_departures_only_where_there_are_some(
    choices: dict[str, Table],
) -> None:
    cells = choices["cells"]
    told = dict(zip(column(cells, "cell"), column(cells, "otherwise"), strict=True))
    assert told["cosine-class-v"] == "–"
    assert told["cosine-class-v-dpm10-leading"] == "leading spacing"
    assert told["cosine-class-v-g4-interval"] == "guided at noise / signal 0.2 to 2"
    assert told["cosine-class-v-g4-rescale"] == "rescale 0.7"
    assert told["cosine-class-v-g4-dynamic"] == "bound dynamic 0.995"
    for table in ("schedules", "samplers", "guidance"):
        assert "otherwise" not in titles(choices[table])


def test_what_cannot_take_effect_is_no_departure() -> None:
    small: dict[str, Any] = fake_results.choices_content()
    small["cells"]["cosine-class-v"]["guidance_interval"] = [0.2, 2.0]
    settings = parse_settings(small, "params.yaml")
    assert departures(settings.cell("cosine-class-v"), settings.sample) == ""


def test_provenance_knows_each_cells_choices(choices: dict[str, Table]) -> None:
    table = choices["provenance"]
    assert shown(table, "cosine-class-v-g4-interval", "guided at") == "0.2 to 2"
    assert shown(table, "cosine-class-v-g4-rescale", "rescale φ") == "0.7"
    assert shown(table, "cosine-class-v-g4-dynamic", "bound on x₀") == "dynamic 0.995"
    assert shown(table, "cosine-class-zero-snr", "log-SNR") == "9.2 to −∞"
    assert shown(table, "cosine-class-v", "log-SNR") == "9.2 to -10.1"


def test_provenance_leaves_out_what_no_cell_changes(tables: dict[str, Table]) -> None:
    told = set(titles(tables["provenance"]))
    assert not {"guided at", "rescale φ"} & told
    assert {"spacing", "bound on x₀"} <= told


def test_the_runs_say_how_each_was_trained(choices: dict[str, Table]) -> None:
    table = choices["runs"]
    assert shown(table, "cosine-class-zero-snr", "schedule") == "cosine, zero SNR"
    assert shown(table, "cosine-class-v", "schedule") == "cosine"
    assert {"stratified", "uniform", "importance"} == set(column(table, "timesteps"))
    assert "recipe" not in titles(table)
    assert {"recipe", "zero_terminal_snr", "weighting"} <= set(table.frame)
