"""What the stages of judging publish: real files of a small repository."""

from pathlib import Path

import numpy as np
import pytest
import torch
from audited import CELLS, COUNT
from safetensors.torch import load_file

from mnist_diffusion.evaluation.estimates import proportion_interval
from mnist_diffusion.evaluation.frechet import ReferenceStatistics
from mnist_diffusion.evaluation.metrics import values
from mnist_diffusion.evaluation.real_digits import (
    load_classes,
    load_real,
    load_statistics,
)
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.judges import JUDGES
from mnist_diffusion.provenance.digests import array_digest, arrays_digest
from mnist_diffusion.settings import load_settings
from mnist_diffusion.stages import evaluate
from mnist_diffusion.tracking.records import record_of

LIKENESS = {"kid", "energy", "precision", "recall", "density", "coverage"}


def test_the_autoencoder_says_what_it_is(here: Path) -> None:
    report = read_json(Path("reports/autoencoder.json"))
    network, _ = checkpoint.load(Path("models/autoencoder"), JUDGES)
    assert report["autoencoder_sha256"] == arrays_digest(checkpoint.weights(network))
    assert report["n"] == 100
    assert report["reconstruction_error"] > 0
    logged = record_of("autoencoder")
    assert logged.metrics["reconstruction_error"] == report["reconstruction_error"]


def test_the_reference_has_a_floor_for_every_n(here: Path) -> None:
    report = read_json(Path("reports/reference.json"))
    settings = load_settings()
    assert set(report["floors"]) == {str(COUNT), str(settings.fd_curve.count)}
    for floor in report["floors"].values():
        assert LIKENESS | {"fd", "relative_fd", "accuracy", "second_fd"} < set(floor)
        infinite = {"fd_infinity", "second_fd_infinity"}
        assert infinite | {f"{name}_asked" for name in infinite} < set(floor)
        spreads = [spread for key, spread in floor.items() if spread and key != "fd_per_class"]
        spreads += [spread for spread in floor["fd_per_class"].values() if spread]
        assert all(one["low"] <= one["mean"] <= one["high"] for one in spreads)
    logged = record_of("reference").metrics
    assert logged[f"floors_{COUNT}_kid_mean"] == report["floors"][str(COUNT)]["kid"]["mean"]


def test_the_features_of_the_reference_have_its_statistics(here: Path) -> None:
    labels = torch.from_numpy(np.load("data/prepared/train-labels.npy"))
    features = load_file("data/reference/features.safetensors")
    for digit, statistics in load_classes().items():
        of = ReferenceStatistics.of(features["train"][labels == int(digit)])
        assert torch.equal(statistics.mean, of.mean)
        assert torch.equal(statistics.covariance, of.covariance)
        assert statistics.count == of.count
    real = load_real(COUNT)
    order = np.load("data/reference/order.npy")
    assert torch.equal(real.features, features["test"][order[:COUNT]])
    assert sorted(order.tolist()) == list(range(100))
    assert torch.equal(real.training, features["train"])
    assert len(features["validation"]) == 100
    assert len(load_statistics("autoencoder").mean) == 64


def test_the_background_is_black_in_real_digits(here: Path) -> None:
    background = np.load("data/reference/background.npy")
    assert background[0, 0] and not background[14, 14]
    assert read_json(Path("reports/reference.json"))["pixels"]["background"] < 0.01


@pytest.mark.parametrize("cell", CELLS)
def test_a_judgement_is_whole(here: Path, cell: str) -> None:
    report = read_json(Path(f"reports/metrics/{cell}.json"))
    asked = bool((np.load(f"data/samples/{cell}/labels.npy") >= 0).all())
    where_asked = {"accuracy", "fd_per_class", "confusion"}
    assert all((report[key] is not None) == asked for key in where_asked)
    assert (report["intervals"]["accuracy"] is not None) == asked
    assert report["compared"] == COUNT
    scores = values(report)
    for key, ends in report["intervals"].items():
        if ends:
            assert ends[0] <= scores[key] <= ends[1], key
    distances = {"fd_infinity", "second_fd_infinity", "class_fd"}
    assert set(report["floors"]) == LIKENESS | distances | {"fd_per_class"}
    floor = read_json(Path("reports/reference.json"))["floors"][str(COUNT)]
    ending = "_asked" if asked else ""
    assert report["floors"]["fd_infinity"] == floor[f"fd_infinity{ending}"]
    low, high = report["intervals"]["fd_infinity"]
    assert high - low == pytest.approx(2 * 1.96 * report["errors"]["fd_infinity"], rel=1e-3)
    assert report["second"]["relative_fd_floor"] == floor["second_relative_fd"]["mean"]
    assert set(report["made_from"]) == {
        *(f"sample@{cell}", "prepare", "classifier", "autoencoder", "reference")
    }


def test_an_interval_is_that_of_the_counted_digits(here: Path) -> None:
    report = read_json(Path(f"reports/metrics/{CELLS[-1]}.json"))
    right = round(report["accuracy"] * COUNT)
    expected = proportion_interval(torch.arange(COUNT) < right, 0.95)
    assert report["intervals"]["accuracy"] == pytest.approx(expected)


def test_the_best_and_worst_images_are_told_apart(here: Path) -> None:
    report = read_json(Path(f"reports/metrics/{CELLS[-1]}.json"))["extremes"]
    assert sorted(report["best"]) == sorted(report["worst"]) == list(range(COUNT))
    assert report["best"] == report["worst"][::-1]


@pytest.mark.parametrize("cell", CELLS)
def test_mlflow_is_told_plain_numbers(here: Path, cell: str) -> None:
    logged = record_of("evaluate", cell).metrics
    assert LIKENESS | {"second_fd_infinity", "fd_infinity_low", "fd_infinity_high"} < set(logged)
    assert {"copied", "saturated_floor", "stroke_gap"} < set(logged)
    assert all(isinstance(value, int | float) for value in logged.values())
    assert "autoencoder_sha256" in record_of("evaluate", cell).tags


def test_a_few_digits_of_each_snapshot_stay(here: Path) -> None:
    report = read_json(Path("reports/fd_curve/cosine-class.json"))
    digits = np.load("data/snapshots/cosine-class.npy")
    assert digits.shape == (len(report["points"]), 20, 28, 28)
    assert report["digits_sha256"] == array_digest(digits)


def test_judging_again_gives_the_same_bytes(published_copy: Path) -> None:
    path = Path(f"reports/metrics/{CELLS[-1]}.json")
    before = path.read_bytes()
    evaluate.run(load_settings(), CELLS[-1])
    assert path.read_bytes() == before
