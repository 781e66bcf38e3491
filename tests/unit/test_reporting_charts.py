"""Charts: each schedule once, only equal losses in one, the same pixels each time."""

import io
import json
from dataclasses import replace
from pathlib import Path

import fake_results
import numpy as np
import pytest
from fake_results import ABLATIONS
from PIL import Image

from mnist_diffusion.reporting import (
    charts,
    choice_charts,
    digit_pictures,
    forest,
    metric_charts,
    training_charts,
)
from mnist_diffusion.reporting.charts import Chart
from mnist_diffusion.reporting.pages import all_charts
from mnist_diffusion.reporting.results import Results
from mnist_diffusion.settings import Sampling


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    root, content = tmp_path_factory.mktemp("repository"), fake_results.choices_content()
    with pytest.MonkeyPatch.context() as patch:
        return fake_results.load(root, patch, content)


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
    drawn = [values(chart, "run") for chart in training_charts.late_errors(results)]
    assert drawn == [[run.name for run in broad], ABLATIONS]
    (followed,) = training_charts.fd_curves(results)
    assert values(followed, "run") == results.settings.fd_curve.runs


def test_every_sampler_has_a_colour_of_its_own() -> None:
    samplers = Sampling.model_fields["sampler"].annotation.__args__  # type: ignore[union-attr]
    colours = choice_charts.SAMPLER_COLOURS
    assert set(colours) == set(samplers)
    assert len(set(colours.values())) == len(samplers)


def test_the_forest_has_every_effect_and_pair_once_under_both_extractors(
    results: Results,
) -> None:
    (drawn,) = forest.forest(results)
    (data,) = (rows for rows in drawn.spec["datasets"].values() if len(rows) > 1)
    effects = results.judged.effects["training"].effects
    pairs = {
        (f"{forest.ONE_TRAINING}{one.baseline}", one.cell) for one in results.compared.comparisons
    }
    pairs |= {("schedule, vs cosine", one.level) for one in effects}
    shown = [(row["heading"], row["choice"], row["features"]) for row in data]
    assert len(shown) == len(set(shown)) == 2 * len(pairs)
    assert {row[:2] for row in shown} == pairs
    assert shown[0][0] == "schedule, vs cosine"
    rows = drawn.spec["layer"][1]["encoding"]["y"]["scale"]["domain"]
    assert len(rows) == len(pairs) + len({heading for heading, _ in pairs})
    assert set(values(drawn, "row")) < set(rows)


def test_a_pair_is_drawn_as_a_multiple_of_its_baseline(results: Results) -> None:
    (drawn,) = forest.forest(results)
    (data,) = (rows for rows in drawn.spec["datasets"].values() if len(rows) > 1)
    images = (row for row in data if row["heading"].startswith(forest.ONE_TRAINING))
    row = next(row for row in images if row["features"] == "classifier")
    mine, theirs = (
        results.cells[name].score(forest.DISTANCE)
        for name in (row["choice"], row["heading"].removeprefix(forest.ONE_TRAINING))
    )
    assert row["ratio"] == pytest.approx(mine / theirs, rel=1e-3)


def test_a_pair_has_the_interval_that_its_verdict_was_read_off(results: Results) -> None:
    """That of the ratio, with the luck of both, as published; no multiple, no row."""
    published = {
        (one.cell, one.baseline): one.ratio
        for one in results.compared.comparisons
        if one.metric == forest.DISTANCE
    }
    for known in (published, dict.fromkeys(published)):
        pairs = [
            one.model_copy(update={"ratio": known.get((one.cell, one.baseline))})
            for one in results.compared.comparisons
        ]
        compared = results.compared.model_copy(update={"comparisons": pairs})
        rows = list(forest._compared(replace(results, compared=compared)))
        own = {row["choice"]: [row["low"], row["high"]] for row in rows}
        assert own == {cell: list(ends) for (cell, _), ends in known.items() if ends}
    assert published


def test_what_trainings_settle_says_so_and_what_they_do_not_is_faint(results: Results) -> None:
    (drawn,) = forest.forest(results)
    assert "18 trainings, simultaneous intervals on 7 degrees of freedom" in drawn.caption
    faint = drawn.spec["layer"][1]["encoding"]["opacity"]
    (told,) = faint["condition"]
    settled = told["test"]["oneOf"]
    assert set(settled) == {"better", "worse", "equivalent"} and faint["value"] < 0.5
    assert {"worse", "equivalent"} <= set(values(drawn, "verdict"))
    assert "Faint: unresolved." in drawn.caption


def test_without_effects_nothing_is_said_of_trainings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = fake_results.load(tmp_path, monkeypatch, fake_results.small_content())
    none = few.judged.effects["training"].model_copy(update={"effects": [], "df": 0, "spread": {}})
    few.judged.effects["training"] = none
    (drawn,) = forest.forest(few)
    assert drawn.caption == forest.IMAGES
    compared = few.compared.model_copy(update={"comparisons": []})
    assert not list(forest.forest(replace(few, compared=compared)))


def test_effects_stand_in_the_order_they_are_declared_in(results: Results) -> None:
    """reports/claims.json has its keys by the alphabet, `grid` before `training`."""
    (one,) = results.judged.effects.values()
    judged = results.judged.model_copy(update={"effects": {"grid": one, "training": one}})
    settings = results.settings.model_copy(update={"effects": {"training": None, "grid": None}})
    both = replace(results, judged=judged, settings=settings)
    assert list(both.effects) == ["training", "grid"]
    (drawn,) = forest.forest(both)
    assert drawn.caption.index("training: 18") < drawn.caption.index("grid: 18")


def test_another_guide_is_no_point_of_the_line_along_the_scale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At one scale a run guided by its snapshot is another choice, not another scale."""
    small = fake_results.small_content()
    guided = {**small["cells"]["cosine-class-v-g2"], "guide": "snapshot"}
    small["cells"]["cosine-class-v-g2-snapshot"] = guided
    small["tables"]["guidance"]["cells"] += ["cosine-class-v-g2-snapshot", "linear-uncond"]
    few = fake_results.load(tmp_path, monkeypatch, small)
    panels = {chart.name: chart for chart in choice_charts.guidance_panels(few)}
    asked = ["cosine-class-v", "cosine-class-v-g2"]
    assert values(panels["guidance-fd-infinity"], "cell") == ["linear-uncond", *asked]
    assert values(panels["guidance-accuracy"], "cell") == asked
    strip = digit_pictures.guidance_strip(few)
    assert strip is not None and "s = 2; s = 2 by snapshot 2" in strip.alt


def test_a_picture_is_in_the_pages_light_colours_and_the_same_each_time(results: Results) -> None:
    (chart,) = forest.forest(results)
    assert chart.png() == chart.png()
    picture = Image.open(io.BytesIO(chart.png())).convert("RGB")
    assert picture.getpixel((0, 0)) == (255, 255, 255)
    assert picture.width > charts.PNG_WIDTH
    ink = tuple(bytes.fromhex(charts._page_colours()["ink"][1:]))
    assert ink in {colour for _, colour in picture.getcolors(1 << 24) or []}


def test_every_chart_is_told_and_named_once(results: Results) -> None:
    drawn = [chart for own in all_charts(results).values() for chart in own]
    assert len({chart.name for chart in drawn}) == len(drawn) > 20
    assert all(len(chart.spec["description"]) > 20 and chart.title for chart in drawn)
    json.dumps([chart.spec for chart in drawn], allow_nan=False)


def test_what_is_confused_is_counted(results: Results) -> None:
    cell, real = metric_charts.confusion(results)
    assert results.headline.name in cell.title and "real test digits" in real.title
    (data,) = real.spec["datasets"].values()
    assert sum(row["count"] for row in data) == np.sum(results.classifier.confusion)
    assert real.spec["description"].endswith("Most frequent error: 0 taken for 1 2 times.")


def test_a_metric_that_is_blind_is_named(results: Results) -> None:
    grid = metric_charts.detection_grid(results)
    assert grid["relative FD∞"] == {"blur": "detects", "dropped-class": "blind"}
    assert set(grid["KID"].values()) == {"detects"}
    assert grid["relative FD∞, autoencoder"]["dropped-class"] == "no, nor must it"


def test_ticks_of_a_logarithmic_axis_are_round() -> None:
    axis = charts.log_axis([0.3, 4.0]).to_dict()
    assert axis["values"] == [0.5, 1.0, 2.0]


def test_looks_begin_anew_where_they_run_out(tmp_path: Path) -> None:
    assert charts.in_turn("abcd", [1, 2, 3]) == {"a": 1, "b": 2, "c": 3, "d": 1}
