"""What `dvc metrics` and `dvc plots` are given: a row per cell, columns there are, no network."""

import json
import re
from pathlib import Path

import pytest

from mnist_diffusion.files import paths
from mnist_diffusion.files.yamlfile import read_yaml
from mnist_diffusion.reporting.charts import dvc_page
from mnist_diffusion.reporting.pages import score_files
from mnist_diffusion.reporting.results import Results
from mnist_diffusion.reporting.table_list import all_tables

REPOSITORY = Path(__file__).parents[2]
PIPELINE = read_yaml(REPOSITORY / "dvc.yaml")


def test_every_plot_is_of_a_column_there_is(results: Results) -> None:
    tables = all_tables(results).items()
    columns = {paths.TABLES / f"{name}.csv": set(t.spec.published.values()) for name, t in tables}
    plots = [plot for entry in PIPELINE["plots"] for plot in entry.values()]
    assert len(plots) == 3
    for plot in plots:
        for axis in ("x", "y"):
            for path, column in plot[axis].items():
                assert column in columns[Path(path)]


def test_a_cell_is_a_row_of_metrics(results: Results) -> None:
    assert PIPELINE["metrics"] == ["reports/scores"]
    found = {name: json.loads(text) for name, text in score_files(results).items()}
    assert set(found) == set(results.cells)
    headline = found[results.headline.name]
    assert headline["fd_infinity_percent"] == pytest.approx(
        100 * results.headline.score("fd_infinity"), abs=0.006
    )
    assert headline["n"] == 60
    assert "accuracy_percent" not in found["linear-uncond"]


def test_the_page_of_dvc_plots_has_its_library_inside() -> None:
    """Made anew by mnist_diffusion.reporting.charts.dvc_page()."""
    committed = (REPOSITORY / ".dvc/plots/offline.html").read_text(encoding="utf-8")
    assert committed == dvc_page()
    assert not re.search(r"<(script|link|img)[^>]*(src|href)=.https?:", committed)
    assert committed.count("{plot_divs}") == 1
    assert "html_template = plots/offline.html" in (REPOSITORY / ".dvc/config").read_text()
