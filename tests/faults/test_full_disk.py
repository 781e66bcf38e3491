"""No room left, from a write of a stage on: one line, and with room again the same digests

A stage that has room is run first, and tells what it writes. Of each file, and of what one loop
writes, the first write, one in the middle and the last are then met by a disk that is full.
"""

import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import count

import pytest
from clones import Clone

pytestmark = pytest.mark.faults
STAGES = {
    "code": ".code",
    "prepare": "data/prepared",
    "classifier": "models/classifier",
    "autoencoder": "models/autoencoder",
    "judges": "models/judges",
    "reference": "data/reference",
    "train linear-uncond": "models/linear-uncond",
    "distill few-steps": "models/few-steps",
    "sample cosine-class-g2": "data/samples/cosine-class-g2",
    "evaluate cosine-class-g2": "reports/metrics/cosine-class-g2.json",
    "fd_curve cosine-class": "reports/fd_curve/cosine-class.json",
    "compare": "reports/comparisons.json",
    "ranks": "reports/ranks.json",
    "trajectories": "reports/trajectories.json",
    "claims": "reports/claims.json",
    "trtr": "reports/trtr.json",
    "tstr cosine-class": "reports/tstr/cosine-class.json",
    "calibration": "reports/calibration.json",
    "report": "reports/tables",
    "playground": "reports/playground.html",
}
LOOPS = (".code/", "reports/scores/", "reports/tables/", "reports/figures/", "mlartifacts/")
"""Of which every file is written by the same line."""
STATES, YARDSTICKS = ".work/resume/", "reports/yardsticks"
CELL, MODEL = "cosine-class-g2", "models/cosine-class"
TIMING = "reports/timings/sample@cosine-class-g2.json"
"""Of which the page tells the seconds."""
LATER = count(1000)
"""Never twice, or MLflow would have the page from the other way already."""
TRACKED = ("mlflow.db", "mlartifacts/")
"""Where there may be no room without an error: the files are the truth, MLflow is a view."""
WAYS = {"open": "no room for another file", "write": "room for 64 bytes in one file"}
Point = tuple[str, int]
"""What is written, and for which time, when the disk becomes full."""


def points(writes: Sequence[str], kind: str) -> list[Point]:
    """The first write, one in the middle and the last, of every place."""
    places: dict[str, list[Point]] = defaultdict(list)
    for k, name in enumerate(writes):
        place = next((loop for loop in LOOPS if name.startswith(loop)), name)
        if kind == "open" or not name.endswith("/"):  # a folder takes no bytes of a file
            places[place].append((name, writes[: k + 1].count(name)))
    return [own[k] for own in places.values() for k in sorted({0, len(own) // 2, len(own) - 1})]


@pytest.mark.quick
def test_each_place_is_tried_first_in_the_middle_and_last() -> None:
    writes = ["a", "folder/", "a", "b", "a", "a", *(f".code/{k}" for k in range(9))]
    tried = [("a", 1), ("a", 3), ("a", 4), ("b", 1), (".code/0", 1), (".code/4", 1), (".code/8", 1)]
    assert points(writes, "write") == tried
    assert points(writes, "open") == [*tried[:3], ("folder/", 1), *tried[3:]]


def run(clone: Clone, command: Callable, stage: str, **fault: object):
    """Run a stage as DVC does, which removes its outs first; MLflow is brought the report alone."""
    out = clone.folder / STAGES[stage]
    shutil.rmtree(out) if out.is_dir() else out.unlink(missing_ok=True)
    (clone.folder / ".work/synced").touch()
    return command(clone.folder, *stage.split(), **fault)


def renew(clone: Clone) -> None:
    """The next page tells of another second, so that MLflow has not got it yet."""
    timing = clone.folder / TIMING
    told = json.loads(timing.read_text())
    timing.write_text(json.dumps(told | {"seconds": next(LATER)}))


def faults(clone: Clone, command: Callable, stage: str, kind: str, point: Point) -> list[str]:
    """What is wrong with how a stage ends whose disk becomes full at a point."""
    name, nth = point
    if name.startswith(STATES):  # or it would go on from those of the point before
        shutil.rmtree(clone.folder / STATES / name.split("/")[2], ignore_errors=True)
    renew(clone)
    done = run(clone, command, stage, kind=kind, at=point)
    if done.code == -25:  # SIGXFSZ, of a process that does not ignore it
        return [f"{point}: killed by the kernel"]
    *_, last = done.output.splitlines() or [""]
    code, beginning = (0, "warning: ") if name.startswith(TRACKED) else (1, "error: ")
    wrong = {
        "is not met": done.writes.count(name) < nth,
        f"ends with {done.code}, {last[:200]!r}": done.code != code
        or not last.startswith(beginning),
        "a traceback": "Traceback" in done.output,
    }
    return [f"{point}: {what}" for what in wrong if wrong[what]]


@pytest.fixture(scope="module")
def tracked(clone: Clone, command: Callable) -> Clone:
    """MLflow has all that ran, so that each report has the same to add."""
    assert command(clone.folder, "track", "--sync").code == 0
    return clone


PLACES = (f"crate/{MODEL}/weights.safetensors", f"{MODEL}/.denoiser.onnx", f"samples/{CELL}/")
"""Of an export; what follows the last is written by a library that is not Python."""


@pytest.mark.parametrize("kind", WAYS, ids=WAYS.values())
@pytest.mark.parametrize("place", PLACES)
def test_an_export_without_room_leaves_nothing(
    place: str, kind: str, clone: Clone, command: Callable
) -> None:
    """Before stages run again below: what they leave is not what dvc.lock recorded."""
    before = {*clone.folder.iterdir()}
    full = (f".out.unfinished/{place}", 1)
    done = command(clone.folder, "export", "out", kind=kind, at=full)
    assert full[0] in done.writes
    assert done.code == 1 and "Traceback" not in done.output, done.output
    assert "\nerror: " in f"\n{done.output}"
    assert {*clone.folder.iterdir()} == before


@pytest.mark.parametrize("kind", WAYS, ids=WAYS.values())
@pytest.mark.parametrize("stage", STAGES)
def test_a_disk_that_is_full_from_a_write_on(
    stage: str, kind: str, tracked: Clone, ran: Clone, command: Callable, record_property: Callable
) -> None:
    place = STAGES[stage]
    renew(tracked)
    timing = (tracked.folder / TIMING).read_bytes()
    whole = run(tracked, command, stage)
    assert whole.code == 0 and len(whole.writes) >= 3, whole.output
    published = tracked.contents(place)
    tried = points(whole.writes, kind)
    record_property("points", len(tried))
    assert not [line for at in tried for line in faults(tracked, command, stage, kind, at)]
    (tracked.folder / TIMING).write_bytes(timing)
    assert run(tracked, command, stage).code == 0
    assert tracked.contents(place) == published
    assert stage == "report" or published == ran.contents(place)  # a report tells seconds, too


@pytest.mark.parametrize("kind", WAYS, ids=WAYS.values())
def test_a_yardstick_without_room_goes_on_when_there_is(
    kind: str, clone: Clone, command: Callable
) -> None:
    words = ("yardstick", "tstr", "--cell", CELL, "--count", "60")
    whole = command(clone.folder, *words)
    assert whole.code == 0, whole.output
    for name in dict.fromkeys(name for name in whole.writes if not name.endswith("/")):
        for place in (STATES, YARDSTICKS):
            shutil.rmtree(clone.folder / place, ignore_errors=True)
        done = command(clone.folder, *words, kind=kind, at=(name, 1))
        assert done.code == 1 and "Traceback" not in done.output, done.output
        assert done.output.splitlines()[-1].startswith("error: ")
    again = command(clone.folder, *words)
    assert again.output.splitlines()[-1] == whole.output.splitlines()[-1]
    shutil.rmtree(clone.folder / YARDSTICKS)
