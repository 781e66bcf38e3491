"""A stage, the shell that DVC may put before it, and a DVC to kill: all real processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from small_project import is_alive, wait_until

from mnist_diffusion.runtime import parent_watch

DVC = """
import os, subprocess, sys
stage = os.environ | {"DVC_STAGE": "train@a"}
subprocess.Popen([*sys.argv[2:], sys.argv[1]], env=stage).communicate()
"""
STAGE = """
import os, sys, time
from pathlib import Path
from mnist_diffusion.runtime import parent_watch
parent_watch.exit_with_parent()
place = Path(sys.argv[1])
place.with_suffix(".new").write_text(str(os.getpid()))
place.with_suffix(".new").rename(place)
time.sleep(60)
"""
SHELLS = {
    "bash": ["bash", "--noprofile", "--norc", "-c"],
    "sh": ["sh", "-c"],
    "a shell and torchrun": [
        sys.executable,
        "-c",
        "import subprocess, sys;"
        "subprocess.run(sys.argv[1], shell=True, start_new_session=True)",  # as torchrun does
    ],
    "a shell that stays": ["sh", "-c", '"$@"; true', "sh", "sh", "-c"],
}


class Pipeline:
    """A DVC, a shell and a stage."""

    def __init__(self, folder: Path, shell: list[str]):
        self.place = folder / "stage"
        (folder / "stage.py").write_text(STAGE)
        words = [sys.executable, str(folder / "stage.py"), str(self.place)]
        self.dvc = subprocess.Popen(
            [sys.executable, "-c", DVC, " ".join(words), *shell],
            stderr=subprocess.PIPE,
            text=True,
        )

    def stage(self) -> psutil.Process:
        wait_until(self.place.exists, 30)
        return psutil.Process(int(self.place.read_text()))


@pytest.fixture(autouse=True)
def outside_dvc(monkeypatch):
    monkeypatch.delenv("DVC_STAGE", raising=False)


def ended(process: psutil.Process) -> bool:
    try:
        wait_until(lambda: not is_alive(process.pid), 5)
    except AssertionError:
        process.kill()
        return False
    return True


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGTERM])
def test_a_stage_ends_with_its_dvc(tmp_path, shell, death):
    pipeline = Pipeline(tmp_path, shell)
    stage = pipeline.stage()
    pipeline.dvc.send_signal(death)
    assert ended(stage)
    said = pipeline.dvc.communicate()[1]
    assert said.startswith("train@a: DVC has ended, so this ends too\n")


def test_a_stage_ends_with_a_shell_between(tmp_path):
    pipeline = Pipeline(tmp_path, SHELLS["a shell that stays"])
    stage = pipeline.stage()
    shells = psutil.Process(pipeline.dvc.pid).children()
    assert shells[0].pid != stage.pid
    shells[0].kill()
    assert ended(stage)


def test_a_stage_whose_dvc_died_first_does_not_begin(tmp_path):
    (tmp_path / "stage.py").write_text(STAGE)
    words = f"{sys.executable} {tmp_path}/stage.py {tmp_path}/begun"
    # The stage of a session that its DVC, the first shell, has left before the stage looked for it.
    orphan = f"(sleep 0.5; DVC_STAGE=train@a exec {words} 2>/dev/null) >/dev/null & echo $!"
    command = ["sh", "-c", orphan]
    shell = subprocess.run(command, start_new_session=True, check=True, stdout=subprocess.PIPE)
    assert ended(psutil.Process(int(shell.stdout)))
    assert not (tmp_path / "begun").exists()


def test_a_stage_that_a_person_runs_outlives_the_shell(tmp_path):
    (tmp_path / "stage.py").write_text(STAGE)
    place = tmp_path / "stage"
    command = f"{sys.executable} {tmp_path}/stage.py {place} & while ! test -e {place}; do :; done"
    subprocess.run(["sh", "-c", command], check=True, timeout=60)
    stage = psutil.Process(int(place.read_text()))
    time.sleep(0.3)
    assert is_alive(stage.pid)
    stage.kill()


def test_watching_costs_a_sleeping_thread(tmp_path):
    pipeline = Pipeline(tmp_path, SHELLS["bash"])
    stage = pipeline.stage()
    before = sum(stage.cpu_times()[:2])
    time.sleep(1)
    assert sum(stage.cpu_times()[:2]) - before <= 0.02
    pipeline.dvc.kill()
    assert ended(stage)
    pipeline.dvc.communicate()


def test_nothing_is_watched_where_dvc_is_not(monkeypatch):
    monkeypatch.setattr(parent_watch, "Thread", lambda **_: pytest.fail("a thread"))
    parent_watch.exit_with_parent()
    assert os.getpid()
