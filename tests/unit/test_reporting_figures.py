"""Charts: each schedule once, minus infinity borne, only equal losses in one panel."""

from pathlib import Path
from typing import Any

import fake_results
import matplotlib.figure
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from test_reporting_choices import ABLATIONS, content

from mnist_diffusion.reporting import curves, losses, style, ticks
from mnist_diffusion.reporting.results import Results
from mnist_diffusion.settings import Sampling


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    with pytest.MonkeyPatch.context() as patch:
        return fake_results.load(tmp_path_factory.mktemp("repository"), patch, content())


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Canvas]:
    """The canvases of the charts a test draws."""
    canvases: list[Canvas] = []
    original = matplotlib.figure.Figure.savefig

    def savefig(canvas: Canvas, *args: Any, **kwargs: Any) -> None:
        if canvas not in canvases:
            canvases.append(canvas)
        original(canvas, *args, **kwargs)

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", savefig)
    return canvases


def labels(panel: Axes) -> list[str]:
    return [text.get_text() for text in panel.get_legend().get_texts()]


def test_each_schedule_has_one_line(results: Results, drawn: list[Canvas]) -> None:
    curves.schedules(results)
    left = drawn[0].axes[0]
    assert len(results.runs) > 4
    assert labels(left) == ["linear", "cosine", "cosine, zero SNR"]
    assert len(left.lines) == 3
    assert len({line.get_color() for line in left.lines}) == 3


def test_a_line_to_minus_infinity_ends_with_a_mark(results: Results, drawn: list[Canvas]) -> None:
    figure = curves.schedules(results)
    right = drawn[0].axes[1]
    zero = results.runs["cosine-class-zero-snr"].schedule["log_snr"]
    assert np.isneginf(zero.iloc[-1])
    assert np.isfinite(zero.iloc[:-1]).all()
    assert np.isfinite(right.get_ylim()).all()
    assert [text.get_text() for text in right.texts] == ["−∞"]
    assert "minus infinity under cosine, zero SNR" in figure.caption


def test_schedules_with_signal_left_speak_of_no_infinity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawn: list[Canvas]
) -> None:
    small = fake_results.small_content()
    del small["cells"]["cosine-class-zero-snr"], small["runs"]["cosine-class-zero-snr"]
    small["report"]["ablations"] = ["cosine-class-v"]
    figure = curves.schedules(fake_results.load(tmp_path, monkeypatch, small))
    assert "infinity" not in figure.caption
    assert not drawn[0].axes[1].texts


def test_only_equal_losses_share_a_panel(results: Results, drawn: list[Canvas]) -> None:
    losses.training(results)
    losses.ablations(results)
    broad, single = drawn
    assert [panel.get_title() for panel in single.axes] == [
        "Loss minimised: ε-MSE",
        "Loss minimised: P2",
        "Loss minimised: min-SNR",
        "Loss minimised: v-MSE",
    ]
    assert labels(single.axes[3]) == ["cosine-class-v", "cosine-class-zero-snr"]
    told = [name for panel in broad.axes for name in labels(panel)]
    assert sorted(told) == ["cosine-class-v", "linear-class", "linear-uncond", "source-uncond"]


def test_no_run_is_left_out_of_the_training_charts(results: Results) -> None:
    shown = {run.name for run in [*losses.broad_runs(results), *losses.single_runs(results)]}
    assert shown == set(results.runs)
    assert [run.name for run in losses.single_runs(results)] == ABLATIONS


def test_training_seeds_share_a_line_in_the_legend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawn: list[Canvas]
) -> None:
    small = fake_results.small_content()
    small["runs"]["linear-class-s1"] = {**small["runs"]["linear-class"], "seed": 1}
    seeded = {**small["cells"]["linear-class"], "run": "linear-class-s1"}
    small["cells"]["linear-class-s1"] = seeded
    losses.training(fake_results.load(tmp_path, monkeypatch, small))
    panel = drawn[0].axes[0]
    assert len(panel.lines) == 4
    assert labels(panel) == ["linear-uncond", "linear-class", "source-uncond"]


def test_the_error_by_timestep_has_one_scale(results: Results, drawn: list[Canvas]) -> None:
    losses.loss_by_timestep(results)
    left, right = drawn[0].axes
    assert left.get_ylim() == right.get_ylim()
    assert labels(right) == ABLATIONS
    looks = {(str(line.get_color()), str(line.get_linestyle())) for line in right.lines}
    assert len(looks) == len(ABLATIONS)


def test_every_sampler_has_a_mark_of_its_own() -> None:
    samplers = Sampling.model_fields["sampler"].annotation.__args__
    assert set(style.SAMPLER_MARKS) == set(samplers)
    for place in (0, 1):
        assert len({mark[place] for mark in style.SAMPLER_MARKS.values()}) == len(samplers)


def test_costs_that_would_overlap_share_a_label() -> None:
    panel = Canvas().subplots()
    ticks.log_costs(panel, [5, 10, 19, 20, 20, 250])
    assert sorted(panel.get_xticks()) == [5, 10, 20, 250]
