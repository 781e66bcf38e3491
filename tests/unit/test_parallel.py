"""Stages side by side: a DVC project of small commands, with real DVC and real processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from ruamel.yaml import YAML

from mnist_diffusion.distribution.parallel import reproduce, require_cores
from mnist_diffusion.runtime.errors import UserError

STAGE = """
import sys, time
from pathlib import Path
source, target, seconds = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
text = source.read_text()
if "bad" in str(target) and Path("bad").exists():
    sys.exit("error: it is bad; make it good")
log = Path("log", target.name)
log.parent.mkdir(exist_ok=True)
begun = time.time()
log.write_text(f"{begun} inf")
time.sleep(seconds)
target.write_text(text + target.name)
log.write_text(f"{begun} {time.time()}")
"""
PIPELINE = """
stages:
  prepare:
    cmd: python stage.py raw prepared 0
    deps: [raw]
    outs: [prepared]
  train:
    foreach: ${runs}
    do:
      cmd: python stage.py prepared ${key}.model ${item}
      deps: [prepared]
      outs: ["${key}.model"]
  sample:
    foreach: ${runs}
    do:
      cmd: python stage.py ${key}.model ${key}.sample 0
      deps: ["${key}.model"]
      outs: ["${key}.sample"]
"""
# Tests that run in the background are deaf to interrupts, and so would be what they start.
REPRODUCE = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from mnist_diffusion.distribution.parallel import reproduce
reproduce(2)
"""
PATIENCE = 600


class Project:
    """A folder with DVC and a pipeline, whose trainings take as long as `runs` has it."""

    def __init__(self, folder: Path, **runs: float):
        self.folder = folder
        (folder / ".dvc").mkdir()
        (folder / ".dvc/config").write_text("[core]\n  no_scm = true\n  analytics = false\n")
        (folder / "stage.py").write_text(STAGE)
        (folder / "dvc.yaml").write_text(PIPELINE.replace("python", sys.executable))
        (folder / "raw").write_text("raw ")
        self.runs(**runs)

    def runs(self, **runs: float) -> None:
        """Declare these, by the seconds that they take."""
        YAML().dump({"runs": runs}, self.folder / "params.yaml")

    def start(self) -> subprocess.Popen[str]:
        """Bring it up to date, two at a time."""
        return subprocess.Popen(
            [sys.executable, "-c", REPRODUCE],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def reproduce(self) -> list[str]:
        """The stages that were started; it must work."""
        process = self.start()
        told = process.communicate(timeout=PATIENCE)[0]
        assert process.returncode == 0, told
        assert "up to date" in told  # said by the whole `dvc repro` at the end
        return [line.split(":")[0] for line in told.splitlines() if line.endswith(": started")]

    def spans(self, *names: str) -> list[tuple[float, float]]:
        """When these were worked on."""
        return [tuple(map(float, (self.folder / "log" / n).read_text().split())) for n in names]

    def wait_for(self, *names: str) -> None:
        """Return when all of these are being worked on."""
        deadline = time.monotonic() + PATIENCE
        while not all((self.folder / "log" / name).exists() for name in names):
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def lock(self) -> dict:
        path = self.folder / "dvc.lock"
        return YAML(typ="safe").load(path)["stages"] if path.exists() else {}


def those_within(folder: Path) -> list[psutil.Process]:
    """Processes that work in a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def all_end(folder: Path) -> bool:
    """Whether nothing works there any more, within a while."""
    deadline = time.monotonic() + 60
    while there := those_within(folder):
        if time.monotonic() > deadline:
            [process.kill() for process in there]
            return False
        time.sleep(0.1)
    return True


def test_independent_stages_overlap_and_the_lock_is_whole(tmp_path):
    project = Project(tmp_path, a=6.0, b=6.0)
    started = project.reproduce()
    assert started[:3] == ["prepare", "train@a", "train@b"]
    assert sorted(started[3:]) == ["sample@a", "sample@b"]
    (a, a_end), (b, b_end) = project.spans("a.model", "b.model")
    assert max(a, b) < min(a_end, b_end)
    assert project.spans("a.sample")[0][0] > a_end
    assert sorted(project.lock()) == sorted(started)
    assert (tmp_path / "b.sample").read_text() == "raw preparedb.modelb.sample"
    assert project.reproduce() == []
    project.runs(a=6.0, b=6.0, c=0.0)
    assert project.reproduce() == ["train@c", "sample@c"]


def test_what_turns_out_to_be_as_it_was_is_not_started(tmp_path):
    project = Project(tmp_path, a=0.0)
    code = f"""
  code:
    cmd: {sys.executable} -c "open('digest', 'w').write('as it was')"
    deps: [source]
    outs: [digest]
"""
    pipeline = (tmp_path / "dvc.yaml").read_text().replace("deps: [raw]", "deps: [raw, digest]")
    (tmp_path / "dvc.yaml").write_text(pipeline + code)
    (tmp_path / "source").write_text("x = 1")
    assert project.reproduce() == ["code", "prepare", "train@a", "sample@a"]
    (tmp_path / "source").write_text("x = 1  # one")
    assert project.reproduce() == ["code"]


def test_the_first_failure_stops_all_in_one_line(tmp_path):
    project = Project(tmp_path, slow=PATIENCE, bad=0.0)
    (tmp_path / "bad").touch()
    process = project.start()
    told = process.communicate(timeout=PATIENCE)[0].splitlines()
    assert process.returncode == 1
    assert told[-1].endswith(
        "UserError: train@bad: it is bad; make it good; "
        ".work/parallel/train@bad.log has all that it said"
    )
    assert all_end(tmp_path)
    assert list(project.lock()) == ["prepare"]
    (tmp_path / "bad").unlink()
    project.runs(bad=0.0)
    assert project.reproduce() == ["train@bad", "sample@bad"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_all_ends_with_it(tmp_path, number):
    project = Project(tmp_path, a=PATIENCE, b=PATIENCE)
    process = project.start()
    project.wait_for("a.model", "b.model")
    os.kill(process.pid, number)
    process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert all_end(tmp_path)
    assert list(project.lock()) == ["prepare"]


@pytest.mark.parametrize(("jobs", "there"), [(1, 1), (1, 2), (2, 2), (4, 8)])
def test_as_many_jobs_as_cores_are_fine(jobs, there):
    require_cores(jobs, there)


@pytest.mark.parametrize(("jobs", "there"), [(2, 1), (3, 2), (9, 8)])
def test_more_jobs_than_cores_are_refused(jobs, there):
    with pytest.raises(UserError, match=f"{there} cores here; give --jobs {there} or less"):
        require_cores(jobs, there)


def test_a_folder_without_git_is_told_what_to_do(tmp_path, monkeypatch):
    """As from a zip: DVC asks git what belongs to the project."""
    project = Project(tmp_path, a=0)
    (project.folder / ".dvc/config").write_text("")
    monkeypatch.chdir(project.folder)
    with pytest.raises(UserError) as refused:
        reproduce(2)
    line = str(refused.value)
    assert line.startswith("dvc.yaml: DVC needs git, and this folder is not a git repository; ")
    assert line.endswith("run `git init && git add -A && git commit -m start`")
