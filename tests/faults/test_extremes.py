"""Settings at their edges: finite numbers, null, or a refusal; never NaN"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clones import Clone

pytestmark = pytest.mark.faults
CELL = "cosine-class-g2"


def edit(clone: Clone, pattern: str, value: object) -> None:
    path = clone.folder / "params.yaml"
    text, count = re.subn(pattern, rf"\g<1>{value}", path.read_text(), count=1)
    assert count == 1
    path.write_text(text)


def published(clone: Clone, command: Any, *stages: str) -> dict[str, Any] | None:
    """The judgement, or None where a stage refused in one line."""
    for stage in stages:
        words = [stage] if stage == "reference" else [stage, CELL]
        done = command(clone.folder, *words)
        assert "Traceback" not in done.output and "Warning" not in done.output, done.output
        if done.code:
            assert done.output.splitlines()[-1].startswith("error: "), done.output
            return None
    return json.loads(
        (clone.folder / f"reports/metrics/{CELL}.json").read_text(), parse_constant=no
    )


def no(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


@pytest.fixture
def edge(ran: Clone, tmp_path: Path) -> Clone:
    return ran.copy(tmp_path / "repository")


@pytest.mark.parametrize("guidance", ["0.0", "20.0", "1.0e+3", "1.0e+6", "1.0e+38", "1.0e+300"])
def test_guidance(guidance: str, edge: Clone, command) -> None:
    edit(edge, rf"({CELL}: .*guidance: )2.0", guidance)
    judged = published(edge, command, "sample", "evaluate")
    if judged:
        images = np.load(edge.folder / f"data/samples/{CELL}/images.npy")
        assert images.shape == (60, 28, 28)
        assert judged["relative_fd"] > 0


@pytest.mark.parametrize("count", [1, 2, 9, 10, 29, 30, 31])
def test_a_count(count: int, edge: Clone, command) -> None:
    """One image has no covariance: its distance is null or refused, and never 0."""
    edit(edge, r"(\n  count: )60", count)
    edit(edge, r"(\nreference:\n  counts: \[)", f"{count}, ")
    judged = published(edge, command, "reference", "sample", "evaluate")
    if judged:
        assert judged["n"] == count
        assert judged["fd"] is None or judged["fd"] > 0
        for digit, accuracy in judged["accuracy_per_class"].items():
            assert (accuracy is None) == (int(digit) >= count)
