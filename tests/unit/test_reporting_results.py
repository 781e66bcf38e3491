"""The report reads exactly what is declared, and refuses the rest in one line."""

import re
from math import isnan
from pathlib import Path
from typing import Any

import fake_results
import numpy as np
import pytest

from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json, write_json
from mnist_diffusion.reporting.reading import load_results, stray_metrics
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.stages import report
from mnist_diffusion.tracking.records import record_of

SETTINGS = fake_results.small_settings()
CELL = "cosine-class-v"
CODEC = paths.fidelity(next(iter(SETTINGS.codecs)))
OTHER = "f" * 64


pytestmark = pytest.mark.usefixtures("reported_copy")


def refusal() -> str:
    with pytest.raises(UserError) as caught:
        load_results(SETTINGS)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_declared_runs_and_cells_are_read() -> None:
    results = load_results(SETTINGS)
    assert list(results.cells) == list(SETTINGS.cells)
    assert list(results.runs) == list(SETTINGS.runs)
    assert results.headline.name == "cosine-class-v-g2"
    assert results.cells["linear-uncond"].asked is False


@pytest.mark.parametrize(
    "path",
    [
        paths.metrics(CELL),
        paths.samples(CELL) / "images.npy",
        paths.samples(CELL) / "trajectory.npy",
        paths.samples(CELL) / "manifest.json",
        paths.model(CELL) / "history.csv",
        paths.model(CELL) / "manifest.json",
        paths.model(CELL) / "noising.npy",
        paths.CLASSIFIER_REPORT,
        paths.REFERENCE_REPORT,
        paths.PREPARED / "test-images.npy",
        *(paths.COMPARISONS, paths.CALIBRATION, paths.CLAIMS, paths.TRAJECTORIES),
    ],
    ids=str,
)
def test_a_missing_or_broken_file_is_named(path: Path) -> None:
    path.unlink()
    assert refusal() == f"{path}: not found; run `dvc repro` first"
    path.write_text("{}")
    assert re.match(rf"{path}: .*; delete it and run `dvc repro`$", refusal())


@pytest.mark.parametrize(
    ("path", "changes", "words"),
    [
        (paths.metrics(CELL), {"relative_fd": "small"}, f"{paths.metrics(CELL)}: relative_fd: "),
        (paths.metrics(CELL), {"n": 61}, "holds 60, not 61"),
        (paths.metrics(CELL), {"classifier_sha256": OTHER}, f"classifier {OTHER}"),
        (paths.metrics(CELL), {"samples_sha256": OTHER}, f"judges images {OTHER}"),
        (paths.REFERENCE_REPORT, {"floors": {}}, "no floor for n = 60"),
        (CODEC, {"classifier_sha256": OTHER}, f"{CODEC}: classifier {OTHER}"),
    ],
)
def test_numbers_that_do_not_belong_together_are_refused(
    path: Path, changes: dict[str, Any], words: str
) -> None:
    fake_results.change(path, **changes)
    assert words in refusal()


def test_a_comparison_with_a_cell_of_the_past_is_refused() -> None:
    compared = read_json(paths.COMPARISONS)["comparisons"]
    fake_results.change(paths.COMPARISONS, comparisons=[compared[0] | {"cell": "former"}])
    assert "compares former, which" in refusal()


def test_a_metric_that_a_judgement_lacks_is_named() -> None:
    path = paths.metrics(CELL)
    content = read_json(path)
    del content["recall"]
    write_json(path, content)
    assert refusal().startswith(f"{path}: recall: field required")


def test_a_table_without_a_column_is_refused() -> None:
    path = paths.model(CELL) / "history.csv"
    path.write_text("step,images\n1,64\n")
    assert refusal().startswith(f"{path}: no column 'loss'")


def test_an_array_of_another_type_is_refused() -> None:
    path = paths.samples(CELL) / "images.npy"
    np.save(path, np.zeros((60, 28, 28), dtype=np.float32))
    assert "not uint8" in refusal()


def test_strays_are_warned_of_and_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    stray = paths.metrics("forgotten")
    stray.write_text(paths.metrics(CELL).read_text())
    assert stray_metrics(SETTINGS) == [stray]
    report.run(SETTINGS)
    record = record_of("report")
    assert capsys.readouterr().err.startswith(f"warning: {stray}: ")
    assert "forgotten" not in Path("reports/index.html").read_text()
    assert [path.name for path in record.files] == ["index.html"]
    assert all(path.exists() for path in record.files)


def test_nothing_published_is_touched_by_a_failure() -> None:
    report.run(SETTINGS)
    before = Path("reports/index.html").read_bytes()
    paths.metrics(CELL).unlink()
    with pytest.raises(UserError):
        report.run(SETTINGS)
    assert Path("reports/index.html").read_bytes() == before


def test_a_timing_counts_for_what_it_timed_and_nothing_else() -> None:
    results = load_results(SETTINGS)
    assert results.cells[CELL].seconds == pytest.approx(3.0)
    assert results.runs[CELL].seconds == pytest.approx(232.4)


@pytest.mark.parametrize("digest", [OTHER, None])
def test_a_timing_of_other_outputs_is_passed_over(digest: str | None) -> None:
    fake_results.change(paths.timing("sample", CELL), manifest_sha256=digest)
    fake_results.change(paths.timing("train", CELL), manifest_sha256=digest)
    results = load_results(SETTINGS)
    assert isnan(results.cells[CELL].seconds)
    assert isnan(results.runs[CELL].seconds)


def test_a_timing_of_nobody_knows_what_is_passed_over() -> None:
    text = '{"seconds": 3.0, "threads": 2, "finished": "2024-01-01T00:00:00+00:00"}'
    paths.timing("sample", CELL).write_text(text)
    assert isnan(load_results(SETTINGS).cells[CELL].seconds)
