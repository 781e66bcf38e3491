"""Training and sampling that were killed end, on the next run, bit-equal to what never was."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
from ruamel.yaml import YAML
from smoke_scale import smoke_params

from mnist_diffusion.provenance.digests import content_digest

HERE = Path(__file__).parent
SEED = 4
"""Of the random steps, which the tests' names tell."""
STEPS = {"fast": 25, "source": 12}
ENCODER_STEPS = 9
STUDENT_STEPS = 7
EPOCH = 10
"""Steps; 80 digits in batches of 8."""
KILLED = -9


@dataclass(frozen=True)
class Point:
    """Where training is killed, run after run, and the step that the last one goes on at."""

    run: str
    kills: tuple[tuple[str, int], ...]
    goes_on_at: int
    every: int = 0
    """Steps between two states; 0 is a state after each."""

    def __str__(self) -> str:
        kills = ", then ".join(f"{event} {nth}" for event, nth in self.kills)
        return f"{self.run}: {kills}" + (f", saved every {self.every}" if self.every else "")


def steps_of(run: str, count: int) -> Iterator[Point]:
    """Kills within a step: the first two, the last, at the ends of epochs, and random ones."""
    last = STEPS[run] - 1
    fixed = {0, 1, *range(EPOCH, last, EPOCH), last}
    chosen = Random(SEED).sample(sorted({*range(last)} - fixed), count)
    for step in (*sorted(fixed), *chosen):
        yield Point(run, (("step", step + 1),), step)


def writes_of(run: str, saves: tuple[int, ...]) -> Iterator[Point]:
    """Kills at each point of writing a state; from the rename on it is there."""
    for nth in saves:
        for event in ("open", "write", "fsync", "rename"):
            yield Point(run, ((event, nth),), nth - 1)
        for event in ("folder", "saved"):
            yield Point(run, ((event, nth),), nth)


def ends_of(run: str) -> Iterator[Point]:
    """Kills when all is trained: while it is published, and before the state is forgotten."""
    for event in ("weights", "publish", "clear"):
        yield Point(run, ((event, 1),), STEPS[run])


FAST = [
    Point("fast", (("step", 15),), 14),
    Point("fast", (("update", 18), ("rename", 5)), 21),
    Point("fast", (("write", 10),), 9),
    Point("source", (("step", 8),), 6, every=3),
]
SWEEP = [
    *steps_of("fast", 12),
    *writes_of("fast", (1, 9, 25)),
    *ends_of("fast"),
    Point("fast", (("update", 1),), 0),
    Point("fast", (("update", 25),), 24),
    Point("fast", (("step", 12),), 9, every=3),
    Point("fast", (("step", 24),), 20, every=5),
    Point("fast", (("step", 6), ("step", 11)), 15),
    Point("fast", (("step", 13), ("write", 1)), 12),
    Point("fast", (("step", 9), ("step", 1), ("folder", 3)), 11),
    *steps_of("source", 3),
    *writes_of("source", (4,)),
    *ends_of("source"),
    Point("source", (("update", 12),), 11),
    Point("source", (("step", 3), ("step", 5)), 6),
]


class Workshop:
    """A folder with prepared digits, and the process that runs stages in copies of it."""

    def __init__(self, folder: Path, raw: Path):
        self.folder = folder
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "driver.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        (folder / "data").mkdir(parents=True)
        (folder / "data/raw").symlink_to(raw)
        write_params(folder)
        self.run(folder, "prepare")
        (folder / "data/raw").unlink()

    def copy(self, target: Path) -> Path:
        return Path(shutil.copytree(self.folder, target))

    def run(
        self,
        folder: Path,
        stage: str,
        name: str | None = None,
        kill: tuple[str, int] | None = None,
        every: int = 0,
    ) -> str:
        """Run a stage to its end, or to where it is killed; what it said."""
        assert self._process.stdin and self._process.stdout
        order = {"folder": str(folder), "stage": stage, "name": name, "kill": kill, "every": every}
        self._process.stdin.write(f"{json.dumps(order)}\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        said = (folder / "log").read_text(encoding="utf-8")
        assert code == (KILLED if kill else 0), said
        return said

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def write_params(folder: Path, **changes: Any) -> None:
    """The smoke scale, smaller still; `changes` are keys of its only runs."""
    params = smoke_params()
    params["compute"]["device"] = "cpu"
    params["prepare"].update(train=80, validation=20, test=30)
    params["train"].update(timesteps=22, log_every=4)
    for recipe, steps in STEPS.items():
        params["train"]["recipes"][recipe].update(steps=steps, batch_size=8)
    for section in ("codec", "clip"):
        params[section]["recipe"].update(steps=ENCODER_STEPS, batch_size=8)
    params["codecs"] = {"4x7x7": params["codecs"]["4x7x7"]}
    runs = {"fast": "cosine-class-ablated", "source": "source-uncond", "words": "latent-text"}
    runs["plain"] = "cosine-class"
    params["runs"] = {name: {**params["runs"][run], **changes} for name, run in runs.items()}
    params["train"]["recipes"]["student"].update(steps=STUDENT_STEPS, batch_size=8)
    params["students"]["few-steps"] |= {"teacher": "plain", "trajectories": 11, "seed": 3}
    params["sample"].update(count=11, micro_batch=4, trajectory_images=6)
    params["cells"] = {"drawn": {**params["cells"]["cosine-class-ddpm10"], "run": "fast"}}
    table = {"cells": ["drawn"], "baselines": ["drawn"]}
    params["tables"] = {name: dict(table) for name in params["tables"]}
    params["report"]["headline"] = "drawn"
    params["tstr"]["cells"] = ["drawn"]
    params["adherence"]["cells"] = params["seams"]["cells"] = []
    params["fd_curve"] |= {"count": 11, "runs": ["fast"]}
    params["trajectories"]["run"] = "fast"
    for effects in params["effects"].values():
        effects["cells"] = ["drawn"]
    params["reference"]["counts"] = [11]
    params["calibration"].update(counts=[10, 11], count=10)
    YAML().dump(params, folder / "params.yaml")


def digests(folder: Path) -> dict[str, str]:
    """Of everything that was published in a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): content_digest(path) for path in files}


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory, raw_mnist: Path) -> Iterator[Workshop]:
    workshop = Workshop(tmp_path_factory.mktemp("resume") / "prepared", raw_mnist)
    yield workshop
    workshop.close()


@pytest.fixture(scope="module")
def control(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both runs and the cell, never killed."""
    folder = workshop.copy(tmp_path_factory.mktemp("control") / "repository")
    for run in STEPS:
        workshop.run(folder, "train", run)
    workshop.run(folder, "sample", "drawn")
    assert not list((folder / ".work/resume").iterdir())
    return folder


def assert_resumes(workshop: Workshop, control: Path, folder: Path, point: Point) -> None:
    for kill in point.kills:
        workshop.run(folder, "train", point.run, kill, point.every)
    said = workshop.run(folder, "train", point.run, every=point.every)
    line = f"resuming train@{point.run} at step {point.goes_on_at}\n"
    assert (line in said) if point.goes_on_at else ("resuming" not in said), said
    assert "warning" not in said
    assert digests(folder / "models" / point.run) == digests(control / "models" / point.run)
    assert not (folder / f".work/resume/train@{point.run}").exists()


@pytest.mark.faults
@pytest.mark.quick
@pytest.mark.parametrize("point", FAST, ids=str)
def test_killed_training_ends_bit_equal(
    workshop: Workshop, control: Path, tmp_path: Path, point: Point
) -> None:
    assert_resumes(workshop, control, workshop.copy(tmp_path / "repository"), point)


@pytest.mark.faults
@pytest.mark.parametrize("point", SWEEP, ids=str)
def test_training_killed_anywhere_ends_bit_equal(
    workshop: Workshop, control: Path, tmp_path: Path, point: Point
) -> None:
    assert_resumes(workshop, control, workshop.copy(tmp_path / "repository"), point)


ENCODERS = {
    "codec": ("4x7x7", Path("models/codecs/4x7x7")),
    "clip": (None, Path("models/clip")),
}
"""By stage: its name, and what it publishes."""


@pytest.fixture(scope="module")
def encoded(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Codec, latents, captions and clip, and a run that needs them all, never killed."""
    folder = workshop.copy(tmp_path_factory.mktemp("encoded") / "repository")
    for stage, name in (("codec", "4x7x7"), ("latents", "4x7x7"), ("captions", None)):
        workshop.run(folder, stage, name)
    workshop.run(folder, "clip")
    workshop.run(folder, "train", "words")
    assert not list((folder / ".work/resume").iterdir())
    return folder


@pytest.mark.faults
@pytest.mark.parametrize("stage", ENCODERS)
@pytest.mark.parametrize(
    ("event", "nth", "goes_on_at"),
    [
        *(("{} step", nth, nth - 1) for nth in (1, 2, 6, ENCODER_STEPS)),
        *((event, 4, 3) for event in ("open", "write", "fsync", "rename")),
        *((event, 4, 4) for event in ("folder", "saved")),
        *((event, 1, ENCODER_STEPS) for event in ("weights", "publish {}", "clear")),
    ],
)
def test_a_killed_encoder_ends_bit_equal(
    workshop: Workshop,
    encoded: Path,
    tmp_path: Path,
    stage: str,
    event: str,
    nth: int,
    goes_on_at: int,
) -> None:
    name, published = ENCODERS[stage]
    address = f"{stage}@{name}" if name else stage
    folder = Path(shutil.copytree(encoded, tmp_path / "repository"))
    workshop.run(folder, stage, name, (event.format(stage), nth))
    said = workshop.run(folder, stage, name)
    line = f"resuming {address} at step {goes_on_at}\n"
    assert (line in said) if goes_on_at else ("resuming" not in said), said
    assert digests(folder / published) == digests(encoded / published)
    assert not (folder / f".work/resume/{address}").exists()


@pytest.mark.faults
@pytest.mark.parametrize("step", [1, 8, 20])
def test_a_killed_text_run_in_latents_ends_bit_equal(
    workshop: Workshop, encoded: Path, tmp_path: Path, step: int
) -> None:
    folder = Path(shutil.copytree(encoded, tmp_path / "repository"))
    workshop.run(folder, "train", "words", ("step", step))
    said = workshop.run(folder, "train", "words")
    assert step == 1 or f"resuming train@words at step {step - 1}\n" in said
    assert digests(folder / "models/words") == digests(encoded / "models/words")


@pytest.fixture(scope="module")
def taught(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher and its student, never killed."""
    folder = workshop.copy(tmp_path_factory.mktemp("taught") / "repository")
    workshop.run(folder, "train", "plain")
    workshop.run(folder, "distill", "few-steps")
    assert not list((folder / ".work/resume").iterdir())
    return folder


PATHS = 3
"""Micro-batches of paths to learn from, each kept as it is drawn, before the training's states."""


@pytest.mark.faults
@pytest.mark.parametrize(
    ("event", "nth", "goes_on_at"),
    [
        ("call", 1, 0),
        ("call", 3, 0),
        *((event, 2, 0) for event in ("open", "write", "fsync", "rename", "folder", "saved")),
        *(("distill step", nth, nth - 1) for nth in (1, 2, 5, STUDENT_STEPS)),
        *((event, PATHS + 4, 3) for event in ("open", "write", "fsync", "rename")),
        *((event, PATHS + 4, 4) for event in ("folder", "saved")),
        *((event, 1, STUDENT_STEPS) for event in ("weights", "publish distill", "clear")),
    ],
)
def test_a_killed_distillation_ends_bit_equal(
    workshop: Workshop, taught: Path, tmp_path: Path, event: str, nth: int, goes_on_at: int
) -> None:
    folder = Path(shutil.copytree(taught, tmp_path / "repository"))
    workshop.run(folder, "distill", "few-steps", (event, nth))
    said = workshop.run(folder, "distill", "few-steps")
    line = f"resuming distill@few-steps at step {goes_on_at}\n"
    assert (line in said) if goes_on_at else ("resuming" not in said), said
    assert digests(folder / "models/few-steps") == digests(taught / "models/few-steps")
    assert not (folder / ".work/resume/distill@few-steps").exists()


@pytest.mark.faults
def test_paths_that_are_kept_are_not_drawn_again(
    workshop: Workshop, taught: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(taught, tmp_path / "repository"))
    workshop.run(folder, "distill", "few-steps", ("distill step", 1))
    assert len(list((folder / ".work/resume/distill@few-steps").iterdir())) == PATHS
    with pytest.raises(AssertionError):  # the teacher is not called: nobody is there to be killed
        workshop.run(folder, "distill", "few-steps", ("call", 1))
    assert digests(folder / "models/few-steps") == digests(taught / "models/few-steps")


SAMPLING = [
    ("call", 1, 0),
    ("call", 3, None),  # threads begin the third before the others are kept
    *((event, 2, 1) for event in ("open", "write", "fsync", "rename")),
    ("folder", 2, 2),
    ("saved", 3, 3),
    ("publish samples", 1, 3),
    ("clear", 1, 3),
]
"""Event, which of them, and the micro-batches that are kept, if that is sure; there are three."""


@pytest.mark.faults
@pytest.mark.parametrize(("event", "nth", "kept"), SAMPLING)
def test_sampling_killed_anywhere_ends_bit_equal(
    workshop: Workshop, control: Path, tmp_path: Path, event: str, nth: int, kept: int | None
) -> None:
    folder = Path(shutil.copytree(control, tmp_path / "repository"))
    workshop.run(folder, "sample", "drawn", (event, nth))
    said = workshop.run(folder, "sample", "drawn")
    if kept is not None:
        assert (f"resuming sample@drawn after {4 * kept} images" in said) == bool(kept), said
    assert digests(folder / "data/samples/drawn") == digests(control / "data/samples/drawn")
    assert not (folder / ".work/resume/sample@drawn").exists()


@pytest.fixture(scope="module")
def measured(workshop: Workshop, control: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """TSTR of the cell, never killed: three micro-batches, and two classifiers on each."""
    folder = Path(shutil.copytree(control, tmp_path_factory.mktemp("measured") / "repository"))
    workshop.run(folder, "yardstick", "drawn")
    return folder


def figure(folder: Path) -> dict[str, Any]:
    """What TSTR has found, but for when, and how long it took."""
    found = json.loads((folder / "reports/yardsticks/tstr-drawn.json").read_text())
    return {k: v for k, v in found.items() if k not in ("finished", "processor_seconds")}


@pytest.mark.faults
@pytest.mark.parametrize(
    ("event", "nth", "kept"),
    [
        ("call", 1, 0),
        *(("rename", nth, nth - 1) for nth in (2, 4, 5, 7)),
        ("write", 6, 5),
        *(("saved", nth, nth) for nth in (3, 7)),
        ("publish yardstick", 1, 7),
    ],
)
def test_a_killed_yardstick_goes_on_from_what_it_has_kept(
    workshop: Workshop,
    control: Path,
    measured: Path,
    tmp_path: Path,
    event: str,
    nth: int,
    kept: int,
) -> None:
    def states() -> dict[Path, int]:
        there = (folder / ".work/resume").glob("yardstick*/[!.]*")
        return {path: path.stat().st_mtime_ns for path in there}

    folder = Path(shutil.copytree(control, tmp_path / "repository"))
    workshop.run(folder, "yardstick", "drawn", (event, nth))
    before = states()
    assert len(before) == kept and not (folder / "reports/yardsticks").exists()
    workshop.run(folder, "yardstick", "drawn")
    assert before.items() <= states().items()
    assert figure(folder) == figure(measured)


@pytest.mark.faults
def test_paths_of_another_teacher_are_not_learned_from(
    workshop: Workshop, taught: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(taught, tmp_path / "repository"))
    workshop.run(folder, "distill", "few-steps", ("distill step", 3))
    write_params(folder, seed=1)
    for name in ("models/plain", "models/few-steps"):
        shutil.rmtree(folder / name, ignore_errors=True)
    workshop.run(folder, "train", "plain")
    assert "resuming" not in workshop.run(folder, "distill", "few-steps")
    anew = workshop.copy(tmp_path / "anew")
    write_params(anew, seed=1)
    workshop.run(anew, "train", "plain")
    workshop.run(anew, "distill", "few-steps")
    assert digests(folder / "models/few-steps") == digests(anew / "models/few-steps")
    assert digests(folder / "models/few-steps") != digests(taught / "models/few-steps")


@pytest.mark.faults
def test_the_state_of_another_recipe_or_other_weights_is_not_used(
    workshop: Workshop, control: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(control, tmp_path / "repository"))
    other = workshop.copy(tmp_path / "other")
    for place in (folder, other):
        write_params(place, seed=1)
    workshop.run(other, "train", "fast")
    workshop.run(other, "sample", "drawn")

    write_params(folder)
    workshop.run(folder, "train", "fast", ("step", 14))
    write_params(folder, seed=1)
    assert "resuming" not in workshop.run(folder, "train", "fast")
    assert digests(folder / "models/fast") == digests(other / "models/fast")
    assert digests(folder / "models/fast") != digests(control / "models/fast")

    shutil.rmtree(folder / "models")
    shutil.copytree(control / "models", folder / "models")
    workshop.run(folder, "sample", "drawn", ("saved", 2))
    shutil.rmtree(folder / "models/fast")
    shutil.copytree(other / "models/fast", folder / "models/fast")
    assert "resuming" not in workshop.run(folder, "sample", "drawn")
    assert digests(folder / "data/samples/drawn") == digests(other / "data/samples/drawn")


@pytest.mark.faults
def test_a_broken_state_is_told_and_training_starts_anew(
    workshop: Workshop, control: Path, tmp_path: Path
) -> None:
    folder = workshop.copy(tmp_path / "repository")
    workshop.run(folder, "train", "fast", ("step", 14))
    (path,) = (folder / ".work/resume/train@fast").iterdir()
    broken = bytearray(path.read_bytes())
    broken[-100] ^= 1
    path.write_bytes(broken)
    said = workshop.run(folder, "train", "fast")
    assert f"warning: {path.relative_to(folder)}: " in said and "starting anew" in said
    assert "resuming" not in said and "Traceback" not in said
    assert digests(folder / "models/fast") == digests(control / "models/fast")
