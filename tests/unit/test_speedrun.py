"""The speedrun: on a small repository, against what its stages published."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from small_project import all_end, wait_until

from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.files.yamlfile import read_yaml
from mnist_diffusion.provenance.digests import content_digest
from mnist_diffusion.provenance.schemas.artifact import load
from mnist_diffusion.provenance.schemas.yardsticks import SpeedrunRecord
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import load_settings
from mnist_diffusion.yardsticks import speedrun

REPOSITORY = Path(__file__).parents[2]
PUBLISHED = 20
"""Images of a cell of the small repository."""
TWIN = "cosine-class"
"""The speedrun of these tests trains and draws as this run and cell of the small repository."""


@pytest.fixture
def track(published_copy: Path) -> Path:
    """The small repository as a laptop's, with rules that it keeps."""
    params = read_yaml(Path("params.yaml")) | {"scale": "laptop"}
    YAML().dump(params, Path("params.yaml"))
    shutil.rmtree("src")
    Path("src").symlink_to(REPOSITORY / "src")  # what runs here is what its stages run
    Path("scales").mkdir()
    own = {"runs": params["runs"][TWIN], "cells": params["cells"][TWIN] | {"run": "speedrun"}}
    scale = {"scale": "speedrun"} | {key: {"speedrun": entry} for key, entry in own.items()}
    YAML().dump(scale, speedrun.SCALE)
    write_rules()
    return published_copy


def write_rules(**changed: object) -> None:
    pins = [*(f"models/{judge}/weights.safetensors" for judge in ("classifier", "autoencoder"))]
    rules = {
        **{"target": 1000.0, "second": 1000.0, "accuracy": 0.0, "copies": 0.0},
        **{"count": PUBLISHED, "seeds": [0], "threads": 1},
        "evaluate": read_yaml(Path("params.yaml"))["evaluate"],
        "test_digits": speedrun.measured(PUBLISHED, load_settings()),
        "pins": {pin: content_digest(Path(pin)) for pin in pins},
    }
    speedrun.RULES.parent.mkdir(exist_ok=True)
    YAML().dump(rules | changed, speedrun.RULES)


def refusal() -> str:
    with pytest.raises(UserError) as refused:
        speedrun.speedrun()
    assert not Path("reports/yardsticks").exists()
    return str(refused.value)


def test_a_lap_draws_what_the_pipeline_does_and_is_timed(track: Path) -> None:
    record = speedrun.speedrun()
    (lap,) = record.laps
    published = read_json(Path(f"reports/metrics/{TWIN}.json"))
    assert lap.samples_sha256 == published["samples_sha256"]
    assert lap.fd_infinity == published["fd_infinity"]
    assert record.reached
    assert 1 < lap.processor_seconds <= 1.1 * lap.seconds  # one thread, in processes of their own
    assert load(Path("reports/yardsticks/speedrun.json"), SpeedrunRecord) == record
    assert speedrun.row(record).startswith(f"| {record.finished[:10]} | ")


def test_what_records_share_is_checked_before_the_clock_starts(track: Path) -> None:
    judge = "models/classifier/weights.safetensors"
    write_rules(pins={judge: 64 * "0"})
    assert refusal().startswith(f"{judge}: not what docs/speedrun.yaml pins, ")
    write_rules(pins={"models/none": 64 * "0"})
    assert refusal() == "models/none: not found; run `dvc repro reference` first"
    for changed in ({"evaluate": {"level": 0.95, "seed": 7}}, {"count": 30}):
        write_rules(**changed)
        assert refusal().startswith("scales/speedrun.yaml: evaluate or count is not as docs/")
    score = speedrun.measured(PUBLISHED, load_settings())["fd_infinity"]
    write_rules(test_digits={"fd_infinity": 1.001 * score})
    assert refusal().startswith(f"fd_infinity of 20 test digits is {score}, which is: not what ")
    write_rules(goal=1)
    assert refusal().startswith("docs/speedrun.yaml: goal: unknown key; ")


@pytest.mark.parametrize("section", ["runs", "cells"])
def test_a_scale_without_a_speedrun_is_refused(track: Path, section: str) -> None:
    scale = read_yaml(speedrun.SCALE)
    del scale["cells"]
    YAML().dump(scale if section == "cells" else {"scale": "speedrun"}, speedrun.SCALE)
    assert refusal() == f"scales/speedrun.yaml: {section}: there is no 'speedrun'; declare it"


@pytest.mark.faults
def test_a_killed_speedrun_takes_its_stage_along_and_the_next_one_is_whole(track: Path) -> None:
    command = [sys.executable, "-m", "mnist_diffusion", "yardstick", "speedrun"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "src")}
    running = subprocess.Popen(command, env=environment)
    lap = track / ".work/speedrun/0"
    wait_until((lap / ".work/locks/train@speedrun").exists)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert all_end(lap)
    (again,) = speedrun.speedrun().laps
    assert again.samples_sha256 == read_json(Path(f"reports/metrics/{TWIN}.json"))["samples_sha256"]


def test_only_what_meets_every_rule_reaches_the_target() -> None:
    values = read_yaml(REPOSITORY / speedrun.RULES)
    rules = speedrun.Rules.model_validate(values)
    good = {
        "fd_infinity": rules.target,
        "second_fd_infinity": rules.second,
        "accuracy": rules.accuracy,
        "copies_p": rules.copies,
    }
    assert rules.are_met(good)
    for key, sign in zip(good, (1, 1, -1, -1), strict=True):
        assert not rules.are_met(good | {key: good[key] + sign * 1e-6}), key


def test_the_rules_pin_the_judge_that_the_report_is_by() -> None:
    """Who changes what measures, makes older records worth nothing, and has to begin a table."""
    pins = read_yaml(REPOSITORY / speedrun.RULES)["pins"]
    judge = read_json(REPOSITORY / "reports/classifier.json")["classifier_sha256"]
    assert pins["models/classifier/weights.safetensors"] == judge


def test_the_last_record_of_the_table_is_the_report_that_stands_beside_it() -> None:
    record = load(REPOSITORY / "reports/yardsticks/speedrun.json", SpeedrunRecord)
    text = (REPOSITORY / speedrun.RULES).with_suffix(".md").read_text(encoding="utf-8")
    rows = [line for line in text.partition("## Tried")[0].splitlines() if line.startswith("| 20")]
    assert rows[-1].startswith(speedrun.row(record))
    assert record.reached
    assert record.rules == read_yaml(REPOSITORY / speedrun.RULES)
