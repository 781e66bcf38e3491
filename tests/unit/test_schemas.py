"""Artifacts: what their schemas let through, and what they refuse."""

import json
from pathlib import Path
from typing import Any

import pytest

from mnist_diffusion.provenance.schemas.artifact import dump, load
from mnist_diffusion.provenance.schemas.cell_reports import TransferAccuracy
from mnist_diffusion.provenance.schemas.judge_reports import ClassifierReport
from mnist_diffusion.runtime.errors import UserError

DIGITS = {str(digit): 0.5 for digit in range(10)}
JUDGE = {
    "n": 20,
    "accuracy": 0.9,
    "accuracy_per_class": DIGITS,
    "confusion": [[2, 0], [1, 17]],
    "expected_calibration_error": 0.01,
    "reliability": [{"confidence": 0.9, "accuracy": 1.0, "count": 20}],
    "classifier_sha256": "0" * 64,
}


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "classifier.json"
    path.write_text(json.dumps(JUDGE | changes))
    return path


def test_what_was_dumped_is_loaded_again(tmp_path: Path) -> None:
    report = load(written(tmp_path), ClassifierReport)
    dump(tmp_path / "again.json", report)
    assert json.loads((tmp_path / "again.json").read_text()) == JUDGE
    assert load(tmp_path / "again.json", ClassifierReport) == report


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"accuracy": "0.9"}, "accuracy: input should be a valid number"),
        ({"n": 20.5}, "n: input should be a valid integer"),
        ({"acuracy": 0.9}, "acuracy: extra inputs are not permitted"),
        ({"classifier_sha256": "0"}, "classifier_sha256: string should match"),
        ({"accuracy_per_class": {"10": 0.5}}, "accuracy_per_class.10"),
        ({"reliability": [{"confidence": 0.9, "count": 20}]}, "reliability.0.accuracy: field req"),
    ],
)
def test_a_wrong_key_is_named(tmp_path: Path, changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        load(written(tmp_path, **changes), ClassifierReport)


def test_intervals_are_pairs_of_numbers() -> None:
    content = {"accuracy": 0.5, "accuracies": [0.4, 0.6], "accuracy_per_class": DIGITS}
    content["interval"] = [0.4, 0.6]
    assert TransferAccuracy.model_validate(content).interval == (0.4, 0.6)
    for wrong in ([0.4], [0.4, 0.5, 0.6], ["0.4", 0.6]):
        with pytest.raises(ValueError, match="interval"):
            TransferAccuracy.model_validate(content | {"interval": wrong})
