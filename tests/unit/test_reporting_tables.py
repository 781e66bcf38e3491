"""Tables: the right cells, percentages and winners."""

from pathlib import Path
from typing import Any

import fake_results
import numpy as np
import pandas as pd
import pytest

from mnist_diffusion import paths
from mnist_diffusion.reporting import comparisons, records, verdict
from mnist_diffusion.reporting.pictures import by_class
from mnist_diffusion.reporting.results import Results, load_results
from mnist_diffusion.reporting.table import Column, Table
from mnist_diffusion.reporting.tables import all_tables
from mnist_diffusion.settings import parse_settings

SETTINGS = fake_results.small_settings()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    root = tmp_path_factory.mktemp("repository")
    fake_results.build(root, SETTINGS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        fake_results.change(paths.metrics("cosine-class-v"), relative_fd=0.012345, accuracy=0.98765)
        return load_results(SETTINGS)


def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: dict[str, Any]) -> Results:
    settings = parse_settings(content, "params.yaml")
    fake_results.build(tmp_path, settings)
    monkeypatch.chdir(tmp_path)
    return load_results(settings)


def shown(table: Table, cell: str, title: str) -> str:
    place = [column.title for column in table.columns].index(title)
    return next(row[place].text for row in table.rows() if row[0].text == cell)


def test_percentages_are_those_of_the_metrics(results: Results) -> None:
    table = comparisons.samplers(results)
    assert shown(table, "cosine-class-v", "relative FD, %") == "1.23"
    assert shown(table, "cosine-class-v", "accuracy, %") == "98.8"
    frame = table.frame.set_index("cell")
    assert frame.loc["cosine-class-v", "relative_fd_percent"] == pytest.approx(1.2345)
    assert frame.loc["cosine-class-v", "accuracy_percent"] == pytest.approx(98.765)


def test_cost_comes_from_the_sidecars_and_may_lack(results: Results) -> None:
    table = comparisons.samplers(results)
    assert shown(table, "cosine-class-v", "seconds for all n") == "3.0"
    assert shown(table, "cosine-class-v", "ms per image") == "50.00"
    assert shown(table, "cosine-class-v-ddim10", "seconds for all n") == "n/a"
    assert "n/a" not in table.to_csv()


def test_each_table_holds_exactly_its_declared_cells(results: Results) -> None:
    report = SETTINGS.report
    assert sorted(comparisons.samplers(results).frame["cell"]) == sorted(report.samplers)
    assert list(comparisons.guidance(results).frame["cell"]) == report.guidance
    assert list(records.cells(results).frame["cell"]) == list(SETTINGS.cells)
    assert records.provenance(results).anchors() == list(SETTINGS.cells)
    halves = comparisons.schedules(results).frame[["uncond_cell", "class_cell"]].stack().dropna()
    assert sorted(halves) == sorted(report.schedules)


def test_schedules_pair_the_conditions_of_one_choice(results: Results) -> None:
    frame = comparisons.schedules(results).frame
    paired = frame[(frame["schedule"] == "linear") & (frame["network"] == "unet")]
    assert len(paired) == 1
    assert list(paired[["uncond_cell", "class_cell"]].iloc[0]) == ["linear-uncond", "linear-class"]
    assert frame["class_relative_fd_percent"].min() == pytest.approx(1.2345)


def test_cells_of_one_choice_do_not_hide_one_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = fake_results.small_content()
    content["report"]["schedules"] = ["cosine-class-v", "cosine-class-v-g2"]
    table = comparisons.schedules(built(tmp_path, monkeypatch, content))
    assert list(table.frame["class_cell"]) == ["cosine-class-v", "cosine-class-v-g2"]


def test_training_seeds_get_a_column_and_a_range(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = fake_results.small_content()
    content["runs"]["linear-class-s1"] = {**content["runs"]["linear-class"], "seed": 1}
    content["cells"]["linear-class-s1"] = {
        **content["cells"]["linear-class"],
        "run": "linear-class-s1",
    }
    content["report"]["schedules"].append("linear-class-s1")
    results = built(tmp_path, monkeypatch, content)
    assert "training seed" in [column.title for column in comparisons.schedules(results).columns]
    assert any("over 2 seeds" in finding.text for finding in verdict.findings(results))
    assert not any("One training seed" in caveat for caveat in verdict.caveats(results))


def test_per_class_starts_with_real_digits(results: Results) -> None:
    rows = comparisons.per_class(results).rows()
    assert [value.text for value in rows[0][:3]] == ["real test set", "99.0", "99.1"]
    assert not any(value.best for value in rows[0])
    assert {row[0].text for row in rows[1:]} == {
        cell.name for cell in results.cells.values() if cell.asks_for_digits
    }


def table_of(values: list[float], form: str = "{:.1f}") -> Table:
    frame = pd.DataFrame({"cell": [f"c{i}" for i in range(len(values))], "x": values})
    return Table("t", "T", frame, [Column("cell", "cell"), Column("x", "x", form, pd.Series.min)])


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


def test_markdown_has_one_field_per_column(results: Results) -> None:
    for table in all_tables(results):
        lines = table.to_markdown().splitlines()
        fields = {len(line.strip("|").split("|")) for line in lines}
        assert fields == {len(table.columns)}
        assert len(lines) == len(table.frame) + 2
        assert set(lines[1]) <= set("|:-")


def test_verdict_is_read_off_the_metrics(results: Results) -> None:
    best = verdict.facts(results)[0]
    assert (best.value, best.cell) == ("1.23\N{NO-BREAK SPACE}%", "cosine-class-v")
    assert any("One training seed" in caveat for caveat in verdict.caveats(results))
    assert any("Inception FID" in caveat for caveat in verdict.caveats(results))


def test_grids_keep_the_order_of_drawing() -> None:
    labels = np.array([1, 0, 1, 1])
    images = np.arange(4, dtype=np.uint8)[:, None, None] * np.ones((1, 28, 28), np.uint8)
    grid = by_class(images, labels, rows=2)
    assert grid.shape == (2, 10, 28, 28)
    assert grid[:, 1, 0, 0].tolist() == [0, 2]
    assert grid[:, 0, 0, 0].tolist() == [1, 0]
    assert by_class(images, np.full(4, -1), rows=1)[0, :4, 0, 0].tolist() == [0, 1, 2, 3]
