"""Tables: the right cells, percentages and winners."""

from pathlib import Path

import fake_results
import pandas as pd
import pytest

from mnist_diffusion.evaluation.metrics import METRICS
from mnist_diffusion.files import paths
from mnist_diffusion.reporting.reading import load_results
from mnist_diffusion.reporting.results import Results
from mnist_diffusion.reporting.table_list import all_tables
from mnist_diffusion.reporting.tables import Column, Table

SETTINGS = fake_results.small_settings()
KEYS_OF = ("{}", "{}_percent", "{}_text")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    root = tmp_path_factory.mktemp("repository")
    fake_results.build(root, SETTINGS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        fake_results.change(paths.metrics("cosine-class-v"), fd_infinity=0.012345, accuracy=0.98765)
        return load_results(SETTINGS)


def shown(table: Table, cell: str, title: str) -> str:
    place = [column.title for column in table.columns].index(title)
    return next(row[place].text for row in table.rows() if row[0].text == cell)


def test_percentages_are_those_of_the_metrics(results: Results) -> None:
    table = all_tables(results)["samplers"]
    assert shown(table, "cosine-class-v", "relative FD∞, %") == "1.23"
    assert shown(table, "cosine-class-v", "accuracy, %") == "98.8"
    frame = table.frame.set_index("cell")
    assert frame.loc["cosine-class-v", "fd_infinity_percent"] == pytest.approx(1.2345)
    assert frame.loc["cosine-class-v", "accuracy_percent"] == pytest.approx(98.765)


def test_cost_comes_from_the_sidecars_and_may_lack(results: Results) -> None:
    table = all_tables(results)["samplers"]
    assert shown(table, "cosine-class-v", "seconds") == "3.0"
    assert shown(table, "cosine-class-v", "ms per image") == "50.00"
    assert shown(table, "cosine-class-v-ddim10", "seconds") == "n/a"
    assert "n/a" not in table.to_csv()


def test_each_table_holds_exactly_its_declared_cells(results: Results) -> None:
    tables = SETTINGS.tables
    assert sorted(all_tables(results)["schedules"].frame["cell"]) == sorted(tables.schedules.cells)
    assert sorted(all_tables(results)["samplers"].frame["cell"]) == sorted(tables.samplers.cells)
    assert list(all_tables(results)["guidance"].frame["cell"]) == tables.guidance.cells
    assert list(all_tables(results)["cells"].frame["cell"]) == list(SETTINGS.cells)
    assert all_tables(results)["provenance"].anchors() == list(SETTINGS.cells)


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


def test_no_single_training_is_crowned_among_the_schedules(guided: Table, results: Results) -> None:
    assert not any(value.best for row in guided.rows() for value in row)
    assert "bold" not in guided.caption
    samplers = all_tables(results)["samplers"]
    assert any(value.best for row in samplers.rows() for value in row)


def test_schedules_say_how_they_were_drawn_where_they_differ(
    guided: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "sampler" not in [column.title for column in guided.columns]
    content = fake_results.small_content()
    content["tables"]["schedules"]["cells"] = ["cosine-class-v", "cosine-class-v-ddim10"]
    mixed = all_tables(fake_results.load(tmp_path, monkeypatch, content))["schedules"]
    assert shown(mixed, "cosine-class-v-ddim10", "sampler") == "DDIM"
    assert shown(mixed, "cosine-class-v-ddim10", "steps") == "10"
    assert "loss minimised" not in [column.title for column in mixed.columns]


def test_the_loss_stands_where_it_differs(guided: Table, results: Results) -> None:
    assert shown(guided, "cosine-class-v", "loss minimised") == "v-MSE"
    assert shown(guided, "linear-class", "loss minimised") == "ε-MSE"
    assert shown(guided, "source-uncond", "timesteps") == "uniform"
    assert shown(guided, "linear-class", "timesteps") == "stratified"
    runs = all_tables(results)["runs"]
    assert shown(runs, "cosine-class-v", "loss minimised") == "v-MSE"
    assert shown(runs, "source-uncond", "loss minimised") == "ε-MSE"


def test_the_baseline_is_not_taken_for_the_source(results: Results) -> None:
    assert "the source trains for 10" in all_tables(results)["runs"].note
    assert "source" not in all_tables(results)["samplers"].note


def test_training_seeds_get_a_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = fake_results.small_content()
    content["runs"]["linear-class-s1"] = {**content["runs"]["linear-class"], "seed": 1}
    seeded = {**content["cells"]["linear-class"], "run": "linear-class-s1"}
    content["cells"]["linear-class-s1"] = seeded
    content["tables"]["schedules"]["cells"].append("linear-class-s1")
    table = all_tables(fake_results.load(tmp_path, monkeypatch, content))["schedules"]
    assert "training seed" in [column.title for column in table.columns]


def test_per_class_starts_with_real_digits(results: Results) -> None:
    rows = all_tables(results)["per-class"].rows()
    assert [value.text for value in rows[0][:3]] == ["real test set", "99.0", "99.1"]
    assert not any(value.best for value in rows[0])
    assert {row[0].text for row in rows[1:]} == {
        cell.name for cell in results.cells.values() if cell.asked
    }


def table_of(values: list[float], form: str = "{:.1f}") -> Table:
    frame = pd.DataFrame({"cell": [f"c{i}" for i in range(len(values))], "x": values})
    columns = [Column("cell", "cell"), Column("x", "x", form, "min")]
    return Table("t", "T", frame, columns, {"x": "y"})


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ([2.0, 1.0, 3.0], [False, True, False]),
        ([1.01, 1.02, 3.0], [True, True, False]),
        ([1.01, 1.02, float("nan")], [False, False, False]),
        ([float("nan"), float("nan")], [False, False]),
    ],
)
def test_the_best_is_what_reads_best(values: list[float], best: list[bool]) -> None:
    assert [row[1].best for row in table_of(values).rows()] == best


def test_what_is_published_may_have_another_name() -> None:
    assert table_of([2.0, 1.0]).to_csv() == "y\n2\n1\n"


def test_a_row_has_a_value_per_column(results: Results) -> None:
    for table in all_tables(results).values():
        assert {len(row) for row in table.rows()} == {len(table.columns)}
        assert len(table.rows()) == len(table.frame)
        assert len(table.to_csv().splitlines()) == len(table.frame) + 1


def test_every_metric_is_in_some_table(results: Results) -> None:
    keys = {column.key for table in all_tables(results).values() for column in table.columns}
    shown = {name for name in METRICS for key in KEYS_OF if key.format(name) in keys}
    assert set(METRICS) - shown == {"second_fd"}
