"""Charts: each schedule once, only equal losses in one, the same pixels each time."""

import io
import json
from dataclasses import replace
from pathlib import Path

import fake_results
import numpy as np
import pytest
from PIL import Image
from test_reporting_choices import ABLATIONS, content

from mnist_diffusion.reporting import charts, choice_charts, metric_charts, training_charts
from mnist_diffusion.reporting.charts import Chart
from mnist_diffusion.reporting.pages import all_charts
from mnist_diffusion.reporting.results import Results
from mnist_diffusion.settings import Sampling


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    with pytest.MonkeyPatch.context() as patch:
        return fake_results.load(tmp_path_factory.mktemp("repository"), patch, content())


def values(chart: Chart, field: str) -> list[str]:
    """What a field holds, in order, over all data of a chart."""
    rows = [row for data in chart.spec["datasets"].values() for row in data]
    return list(dict.fromkeys(row[field] for row in rows if field in row))


def test_each_schedule_has_one_line(results: Results) -> None:
    assert len(results.runs) > 4
    for chart in training_charts.schedule_levels(results):
        assert values(chart, "run") == ["linear", "cosine", "cosine, zero SNR"]


def test_minus_infinity_is_a_gap(results: Results) -> None:
    zero = results.runs["cosine-class-zero-snr"].schedule["log_snr"]
    assert np.isneginf(zero.iloc[-1])
    json.dumps([chart.spec for chart in training_charts.schedule_levels(results)], allow_nan=False)


def test_only_equal_losses_share_a_chart(results: Results) -> None:
    found = {chart.title: values(chart, "run") for chart in training_charts.losses(results)}
    assert found["Loss minimised: v-MSE"] == ["cosine-class-v", "cosine-class-zero-snr"]
    assert len(found) == 4
    assert sum(len(runs) for runs in found.values()) == len(results.runs)


def test_no_run_is_left_out_of_the_training_charts(results: Results) -> None:
    broad, single = training_charts.groups(results).values()
    assert {run.name for run in [*broad, *single]} == set(results.runs)
    assert [run.name for run in single] == ABLATIONS
    for draw in (training_charts.late_errors, training_charts.fd_curves):
        assert [values(chart, "run") for chart in draw(results)] == [
            [run.name for run in broad],
            ABLATIONS,
        ]


def test_every_sampler_has_a_colour_of_its_own() -> None:
    samplers = Sampling.model_fields["sampler"].annotation.__args__  # type: ignore[union-attr]
    colours = choice_charts.SAMPLER_COLOURS
    assert set(colours) == set(samplers)
    assert len(set(colours.values())) == len(samplers)


def test_the_forest_has_every_pair_once_under_both_feature_extractors(results: Results) -> None:
    (forest,) = choice_charts.forests(results)["forest"]
    (data,) = (rows for rows in forest.spec["datasets"].values() if len(rows) > 1)
    compared = results.compared.comparisons
    pairs = {(one.cell, one.baseline) for one in compared}
    shown = [(row["cell"], row["baseline"], row["features"]) for row in data]
    assert len(shown) == len(set(shown)) == 2 * len(pairs)
    rows = forest.spec["layer"][1]["encoding"]["y"]["scale"]["domain"]
    baselines = {one.baseline for one in compared}
    assert len(rows) == len(pairs) + len(baselines)
    assert set(values(forest, "row")) < set(rows)


def test_without_comparisons_there_is_no_forest(results: Results) -> None:
    nothing = replace(results, compared=results.compared.model_copy(update={"comparisons": []}))
    assert not any(choice_charts.forests(nothing).values())


def test_a_picture_is_in_the_pages_light_colours_and_the_same_each_time(results: Results) -> None:
    (chart,) = choice_charts.forests(results)["forest"]
    assert chart.png() == chart.png()
    picture = Image.open(io.BytesIO(chart.png())).convert("RGB")
    assert picture.getpixel((0, 0)) == (255, 255, 255)
    assert picture.width > charts.PNG_WIDTH
    ink = tuple(bytes.fromhex(charts._page_colours()["ink"][1:]))
    assert ink in {colour for _, colour in picture.getcolors(1 << 24) or []}


def test_every_chart_is_told_and_named_once(results: Results) -> None:
    drawn = [chart for own in all_charts(results).values() for chart in own]
    assert len({chart.name for chart in drawn}) == len(drawn) > 20
    assert all(len(chart.alt) > 20 and chart.title for chart in drawn)
    assert not [chart.name for chart in drawn if "NaN" in chart.json]


def test_what_is_confused_is_counted(results: Results) -> None:
    cell, real = metric_charts.confusion(results)
    assert results.headline.name in cell.title and "real test digits" in real.title
    (data,) = real.spec["datasets"].values()
    assert sum(row["count"] for row in data) == np.sum(results.classifier.confusion)
    assert "9 taken for 8 2 times" in real.alt or "taken for" in real.alt


def test_a_metric_that_is_blind_is_named(results: Results) -> None:
    grid = metric_charts.detection_grid(results)
    assert grid["relative FD"] == {"blur": "detects", "dropped-class": "blind"}
    assert set(grid["KID"].values()) == {"detects"}
    assert grid["relative FD, autoencoder"]["dropped-class"] == "no, nor must it"


def test_ticks_of_a_logarithmic_axis_are_round() -> None:
    axis = charts.log_axis([0.3, 4.0]).to_dict()
    assert axis["values"] == [0.5, 1.0, 2.0]


def test_looks_begin_anew_where_they_run_out(tmp_path: Path) -> None:
    assert charts.in_turn("abcd", [1, 2, 3]) == {"a": 1, "b": 2, "c": 3, "d": 1}
