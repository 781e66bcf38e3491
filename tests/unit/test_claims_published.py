"""compare, ceiling, tstr and calibration, as they are published in a small repository."""

import json

import numpy as np
import pytest

from mnist_diffusion.evaluation.corruption import CORRUPTIONS
from mnist_diffusion.evaluation.metrics import CALIBRATED
from mnist_diffusion.files.yamlfile import read_yaml

CELL = "cosine-class"


@pytest.fixture
def reports(published):
    def read(name):
        return json.loads((published / "reports" / name).read_text())

    return read


def score(report, metric):
    return report["second"]["fd_infinity"] if metric == "second_fd_infinity" else report[metric]


def test_a_comparison_is_the_difference_of_what_is_published(reports, published):
    """evaluate and compare judge the same images by two ways of calling the same functions."""
    report = reports("comparisons.json")
    metrics = {row["metric"] for row in report["comparisons"]}
    # two images of a digit have no class-wise distance
    assert metrics == {"fd_infinity", "second_fd_infinity", "accuracy"}
    for row in report["comparisons"]:
        cell, baseline = (reports(f"metrics/{row[key]}.json") for key in ("cell", "baseline"))
        expected = score(cell, row["metric"]) - score(baseline, row["metric"])
        assert row["difference"] == pytest.approx(expected, abs=1e-6)
        assert row["interval"][0] <= row["difference"] <= row["interval"][1]
        assert row["p"] <= row["p_adjusted"] <= 1
        assert row["n"] == cell["n"]
        low, high = row["interval"]
        margins = read_yaml(published / "params.yaml")["margins"]
        inside = -margins["accuracy"] < low and high < margins["accuracy"]
        if row["metric"] != "accuracy":
            least, most = row["ratio"] or (0.0, 9.0)
            assert (least <= 1 <= most) == (low <= 0 <= high)
            inside = 1 / margins["ratio"] < least and most < margins["ratio"]
        assert (row["verdict"] == "equivalent") == inside
        assert (row["verdict"] == "unresolved") == (low <= 0 <= high and not inside)
        if row["relative"] is not None:
            base = expected - score(cell, row["metric"])
            assert row["relative"] == pytest.approx(-expected / base, rel=1e-4)


def test_every_table_is_compared(reports, published):
    tables = read_yaml(published / "params.yaml")["tables"]
    report = reports("comparisons.json")
    told = report["comparisons"] + report["left_out"]
    baselines = {(row["table"], row["baseline"]) for row in report["comparisons"]}
    for table in tables:
        cells = {row["cell"] for row in told if row["table"] == table}
        cells |= {cell for where, cell in baselines if where == table}
        assert cells == set(tables[table]["cells"])


def test_tstr_stands_beside_its_ceiling(reports, published):
    ceiling = reports("trtr.json")
    for cell in read_yaml(published / "params.yaml")["tstr"]["cells"]:
        report = reports(f"tstr/{cell}.json")
        real = ceiling["by_n"][str(report["n"])]
        assert report["real_accuracy"] == real["accuracy"]
        for accuracy, interval in (("accuracy", "interval"), ("real_accuracy", "real_interval")):
            assert report[interval][0] <= report[accuracy] <= report[interval][1]
        assert {f"sample@{cell}", "prepare", "reports/trtr.json"} == set(report["made_from"])


def test_calibration_has_every_rung(reports, published):
    chosen = read_yaml(published / "params.yaml")["calibration"]
    report = reports("calibration.json")
    rungs = {(row["corruption"], row["severity"], row["metric"]) for row in report["corruptions"]}
    assert rungs == {
        (name, severity, metric)
        for name in CORRUPTIONS
        for severity in chosen["corruptions"][name]
        for metric in CALIBRATED
    }
    assert {(row["n"], row["metric"]) for row in report["against_n"]} == {
        (n, metric) for n in chosen["counts"] for metric in CALIBRATED
    }
    assert {(row["corruption"], row["metric"]) for row in report["verdicts"]} == {
        (name, metric) for name in CORRUPTIONS for metric in CALIBRATED
    }


def test_wrong_labels_leave_all_but_accuracy_bit_equal(reports):
    rows = [
        r for r in reports("calibration.json")["corruptions"] if r["corruption"] == "wrong-labels"
    ]
    for metric in CALIBRATED:
        values = [row["value"] for row in rows if row["metric"] == metric]
        assert (len(set(values)) == 1) == (metric != "accuracy")
        assert np.isfinite(values).all()


def test_every_declared_claim_has_its_verdict(reports, published):
    declared = read_yaml(published / "params.yaml")["claims"]
    report = reports("claims.json")
    assert set(report["claims"]) == set(declared)
    found = {name: one["outcome"] for name, one in report["claims"].items()}
    assert found["closed-form"] == found["last-step"] == "identity"
    assert found["p2-improves"] == "not testable here"
    assert {f"sample@{CELL}", f"train@{CELL}", "reports/trajectories.json"} <= set(
        report["made_from"]
    )
    for one in report["claims"].values():
        assert (one["p"] is None) == (one["level"] is None) == (not one["statements"])
        for statement in one["statements"]:
            low, high = statement["interval"]
            assert low <= statement["estimate"] <= high


def test_solvers_are_followed_from_the_noise_of_the_sample_sets(reports, published):
    """What stands for the exact solution is 4 steps of DDIM here: of itself it is 0 away."""
    report = reports("trajectories.json")
    assert (report["exact"]["rmse"], report["exact"]["evaluations"]) == (0.0, 4)
    assert report["solvers"]["ddim-2"]["evaluations"] == 2
    assert report["solvers"]["ddim-2"]["rmse"] > 0
    assert len(report["solvers"]["ddim-2"]["squares"]) == 5
    for settling in (report["predicted"], report["noise"]):
        assert len(settling["coarse"]) == len(settling["fine"]) == 9
        assert all(0 <= share <= 1 for share in settling["coarse"] + settling["fine"])
