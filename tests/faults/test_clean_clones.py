"""Two clean clones without DVC's run cache: the same digests at every stage

The other one has another path, with a space, and another time zone, language, hash seed and umask.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from clones import Clone, new_clone
from ruamel.yaml import YAML

pytestmark = pytest.mark.faults
STAGES = {
    "prepare": "data/prepared",
    "classifier": "models/classifier",
    "reference": "data/reference",
    "train": "models",
    "sample": "data/samples",
    "evaluate": "reports/metrics",
    "report": "reports/figures",
}
ELSEWHERE = {
    "TZ": "Pacific/Kiritimati",
    "LC_ALL": "C",
    "LANG": "tr_TR.UTF-8",
    "PYTHONHASHSEED": "4711",
    "COLUMNS": "40",
}


@pytest.fixture(scope="session")
def other(build_once: Callable, raw_mnist: Path) -> Clone:
    def build(folder: Path) -> None:
        clone = new_clone(folder / "a clone of it", raw_mnist)
        clone.environment |= ELSEWHERE
        clone.run("sh", "-c", "umask 077; exec dvc repro --quiet --no-run-cache")

    return Clone(build_once("far away", build) / "a clone of it")


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_gives_the_same(stage: str, other: Clone, ran: Clone) -> None:
    there = ran.contents(STAGES[stage])
    assert there
    assert other.contents(STAGES[stage]) == there


def stages(clone: Clone) -> dict[str, Any]:
    """What DVC has recorded, by address; not of the report's own files, which tell seconds, too."""
    found: dict[str, Any] = YAML(typ="safe").load(clone.folder / "dvc.lock")["stages"]
    del found["report"]["outs"]
    return found


def test_dvc_finds_the_same_in_both(other: Clone, ran: Clone) -> None:
    """By its own MD5 of the files' bytes, of outs and of what they depend on."""
    assert stages(other) == stages(ran)
