"""METRICS: what it says of each metric, and that judgements have each."""

from typing import Any

import pytest

from mnist_diffusion.evaluation.metrics import (
    CALIBRATED,
    COMPARED,
    LIKENESS,
    METRICS,
    check,
    values,
)


def judgement() -> dict[str, Any]:
    """A cell's judgement, as far as METRICS looks into it."""
    distances = ("fd_infinity", "second_fd_infinity", "class_fd")
    floors = {name: {"mean": 0.95} for name in (*LIKENESS, *distances)}
    copies = {"share": 0.9, "expected": 0.92, "p": 0.5}
    ink = ("saturated", "background", "mass")
    scores = {name: 0.5 for name, metric in METRICS.items() if not metric.place}
    return {
        **scores,
        "fd_floor": 0.2,
        "relative_fd_floor": 0.01,
        "second": {
            **{"fd": 2.0, "relative_fd": 0.02, "fd_infinity": 0.01},
            **{"fd_floor": 1.0, "relative_fd_floor": 0.01},
        },
        "memorisation": {
            **{"median_distance": 5, "median_distance_test": 6},
            **{"pixels": copies, "features": copies},
        },
        "pixels": {
            "stroke_gap": 0.2,
            **dict.fromkeys(ink, 0.3),
            **{f"{name}_real": 104.0 for name in ink},
        },
        "floors": floors,
    }


def test_every_metric_is_found_in_a_judgement() -> None:
    check(judgement())
    found = values(judgement() | {"accuracy": None})
    assert set(METRICS) - set(found) == {"accuracy"}
    assert found["second_relative_fd"] == 0.02
    assert METRICS["mass"].of_real(judgement()) == 104.0


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if not metric.place])
def test_a_metric_that_a_judgement_lacks_is_named(name: str) -> None:
    without = {key: value for key, value in judgement().items() if key != name}
    with pytest.raises(ValueError, match=f"^{name}: field required"):
        check(without)


def test_a_baseline_that_nobody_could_measure_is_none() -> None:
    """Of too few digits of a class there is no class-wise distance."""
    few = judgement()
    few["floors"]["class_fd"] = None
    check(few)
    assert METRICS["class_fd"].of_real(few) is None


def test_the_orders_that_published_files_have() -> None:
    assert COMPARED == ("fd_infinity", "second_fd_infinity", "class_fd", "accuracy")
    assert LIKENESS == ("kid", "energy", "precision", "recall", "density", "coverage")
    assert set(LIKENESS) < set(CALIBRATED)


def test_distances_of_laws_and_neighbours_depend_on_n_and_unbiased_ones_do_not() -> None:
    for name, metric in METRICS.items():
        neighbours = name in LIKENESS and name not in ("kid", "energy")
        distance = metric.kind == "distance" or name == "class_fd"
        assert metric.depends_on_n == (neighbours or distance), name


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("relative_fd", 0.02829, "2.83"),
        ("accuracy", 0.907, "90.7"),
        ("second_relative_fd", 0.0894, "8.94"),
        ("recall", 0.896, "89.6"),
        ("kid", 0.00123456, "0.00123"),
        ("fd", 3.0, "3.00"),
    ],
)
def test_values_are_shown_in_their_unit(name: str, value: float, text: str) -> None:
    assert METRICS[name].shown(value) == text


def test_twins_are_the_same_distance_under_the_other_network() -> None:
    for metric in METRICS.values():
        if metric.twin:
            twin = METRICS[metric.twin]
            assert (metric.network, twin.network) == ("classifier", "autoencoder")
            assert twin.better == metric.better
