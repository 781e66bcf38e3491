"""No room left, from each write of a stage on: one line, and with room again the same digests"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from clones import Clone

pytestmark = pytest.mark.faults
STAGES = {
    "prepare": "data/prepared",
    "classifier": "models/classifier",
    "autoencoder": "models/autoencoder",
    "reference": "data/reference",
    "train source-uncond": "models/source-uncond",
    "sample cosine-class-g2": "data/samples/cosine-class-g2",
    "evaluate cosine-class-g2": "reports/metrics/cosine-class-g2.json",
    "fd_curve cosine-class": "reports/fd_curve/cosine-class.json",
    "compare": "reports/comparisons.json",
    "trtr": "reports/trtr.json",
    "tstr cosine-class": "reports/tstr/cosine-class.json",
    "calibration": "reports/calibration.json",
    "report": "reports/tables",
}
STRIDES = {"report": 10}
"""Stages of so many writes that not all are tried."""
WAYS = {"open": "no room for another file", "write": "room for 64 bytes in one file"}


def faults(clone: Clone, command: Callable, stage: str, kind: str, at: int) -> list[str]:
    """What is wrong with how a stage ends when the disk is full from its write `at` on."""
    done = command(clone.folder, *stage.split(), kind=kind, at=at)
    if done.code == -25:  # SIGXFSZ, of a process that does not ignore it
        return [f"{at}: killed by the kernel"]
    *_, last = done.output.splitlines() or [""]
    told = done.code == 0 or last.startswith("error: ")
    found = [] if told else [f"{at}: ends with {last[:200]!r}"]
    return found + [f"{at}: a traceback"] * ("Traceback" in done.output)


def remove(path: Path) -> None:
    """As DVC does with a stage's outs before it runs it."""
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


@pytest.mark.parametrize("kind", WAYS, ids=WAYS.values())
@pytest.mark.parametrize("stage", STAGES)
def test_a_disk_that_is_full_from_a_write_on(
    stage: str, kind: str, clone: Clone, ran: Clone, command: Callable, record_property: Callable
) -> None:
    place = STAGES[stage]
    whole = command(clone.folder, *stage.split())
    assert whole.code == 0 and whole.writes > 3, whole.output
    published = clone.contents(place)
    points = range(1, whole.writes + 1, STRIDES.get(stage, 1))
    record_property("points", len(points))
    assert not [line for at in points for line in faults(clone, command, stage, kind, at)]
    remove(clone.folder / place)
    assert command(clone.folder, *stage.split()).code == 0
    assert clone.contents(place) == published
    assert stage == "report" or published == ran.contents(place)  # a report tells seconds, too
