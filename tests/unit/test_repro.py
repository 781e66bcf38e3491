"""`repro`, embedded: a DVC project of small commands, with real DVC and real processes."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from dvc.lock import Lock
from small_project import PATIENCE, STAGE, Project, all_end, is_alive, wait_until

import mnist_diffusion
from mnist_diffusion.distribution.repro import reproduce, require_cores
from mnist_diffusion.runtime.errors import UserError


def test_independent_stages_overlap_and_the_lock_is_that_of_dvc_repro(tmp_path):
    project = Project(tmp_path / "side-by-side", a=6.0, b=6.0)
    ran = project.reproduce()
    assert ran[0] == "prepare"
    assert sorted(ran[1:]) == ["sample@a", "sample@b", "train@a", "train@b"]
    (a, a_end), (b, b_end) = project.spans("a.model", "b.model")
    assert max(a, b) < min(a_end, b_end)
    assert project.spans("sample")[0][0] > a_end
    assert (project.folder / "samples-b/sample").read_text() == "raw preparedb.modelsample"
    assert project.reproduce() == []

    plain = Project(tmp_path / "one-by-one", a=6.0, b=6.0)
    dvc = [sys.executable, "-m", "dvc", "repro", "--quiet"]
    subprocess.run(dvc, cwd=plain.folder, env=plain.environment, check=True)
    lock = (plain.folder / "dvc.lock").read_bytes()
    assert (project.folder / "dvc.lock").read_bytes() == lock


def test_only_what_is_new_runs_and_leftovers_of_an_out_go(tmp_path):
    project = Project(tmp_path, a=0.0)
    project.reproduce()
    project.runs(a=0.0, c=0.0)
    (tmp_path / "samples-c").mkdir()
    (tmp_path / "samples-c/stray").write_text("of another time")
    assert project.reproduce() == ["train@c", "sample@c"]
    assert [path.name for path in (tmp_path / "samples-c").iterdir()] == ["sample"]
    assert list(project.lock()) == ["prepare", "train@a", "train@c", "sample@a", "sample@c"]


def test_what_turns_out_to_be_as_it_was_is_not_started(tmp_path):
    project = Project(tmp_path, a=0.0)
    code = f"""
  code:
    cmd: {sys.executable} -c "open('digest', 'w').write('as it was')"
    meta: {{here: true}}
    deps: [source]
    outs: [digest]
"""
    pipeline = (tmp_path / "dvc.yaml").read_text().replace("deps: [raw]", "deps: [raw, digest]")
    (tmp_path / "dvc.yaml").write_text(pipeline + code)
    (tmp_path / "source").write_text("x = 1")
    assert project.reproduce() == ["prepare", "train@a", "sample@a"]
    (tmp_path / "source").write_text("x = 1  # one")
    assert project.reproduce() == []
    assert project.lock()["code"]["deps"][0]["size"] == len("x = 1  # one")
    (tmp_path / "stage.py").write_text((tmp_path / "stage.py").read_text() + "# another one\n")
    text = (tmp_path / "dvc.yaml").read_text()
    (tmp_path / "dvc.yaml").write_text(text.replace("deps: [raw,", "deps: [raw, stage.py,"))
    assert project.reproduce() == ["prepare"]


def test_the_first_failure_stops_all_in_one_line(tmp_path):
    project = Project(tmp_path, slow=PATIENCE, bad=0.0)
    (tmp_path / "bad").touch()
    process = project.start()
    told = process.communicate(timeout=PATIENCE)[0].splitlines()
    assert process.returncode == 1
    assert told[-1] == (
        "error: train@bad: it is bad; make it good; .work/logs/train@bad.log has all that it said"
    )
    assert all_end(tmp_path)
    assert list(project.lock()) == ["prepare"]
    assert len(project.attempts("bad.model")) == 0
    (tmp_path / "bad").unlink()
    project.runs(bad=0.0)
    assert project.reproduce() == ["train@bad", "sample@bad"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_all_ends_with_it_and_the_next_one_goes_on(tmp_path, number):
    project = Project(tmp_path, a=PATIENCE, b=PATIENCE)
    process = project.start()
    project.wait_for("a.model", "b.model")
    os.kill(process.pid, number)
    assert all_end(tmp_path)
    process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    for run in ("a", "b"):
        (tmp_path / f".work/resume/train@{run}/steps").write_text(str(PATIENCE - 0.4))
    ran = project.reproduce()
    assert sorted(ran)[-4:] == ["sample@a", "sample@b", "train@a", "train@b"]
    assert [len(project.attempts(f"{run}.model")) for run in ("a", "b")] == [2, 2]


def test_nothing_listens_where_another_machine_could_speak_to_it(tmp_path):
    project = Project(tmp_path, a=PATIENCE, b=PATIENCE)
    process = project.start()
    project.wait_for("a.model", "b.model")
    head = psutil.Process(process.pid)
    sockets = [
        socket
        for one in (head, *head.children(recursive=True))
        for socket in one.net_connections()
        if socket.status == psutil.CONN_LISTEN
    ]
    process.kill()
    assert {socket.laddr.ip for socket in sockets} <= {"127.0.0.1", "::1"}
    assert all_end(tmp_path)


@pytest.mark.parametrize("killed", ["errand", "stage"])
def test_what_is_killed_is_tried_again(tmp_path, killed):
    """Of a stage that is not ours, and so runs in a shell, as one on a GPU does."""
    project = Project(tmp_path, a=3.0, b=0.0)
    process = project.start()
    project.wait_for("a.model")
    stage = psutil.Process(project.attempts("a.model")[0][0])
    errands = [p for p in stage.parents() if "mnist_diffusion.distribution.errand" in p.cmdline()]
    {"errand": errands[0], "stage": stage}[killed].kill()
    told = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 0, told
    assert len(project.attempts("a.model")) == 2
    assert not psutil.pid_exists(stage.pid)


def with_a_stage_of_ours(folder: Path) -> Project:
    """A project of one stage, `mnist-diffusion slow`, which takes seconds and goes on."""
    project = Project(folder)
    shutil.copytree(Path(mnist_diffusion.__file__).parents[1], folder / "src")
    begin = "import sys\nassert 'dvc.repo' in sys.modules\nsys.argv[1:] = 'raw', sys.argv[1], '4'\n"
    main = begin + STAGE.format(home=str(folder))
    (folder / "src/mnist_diffusion/__main__.py").write_text(main)
    (folder / "dvc.yaml").write_text(
        "stages:\n  slow:\n    cmd: mnist-diffusion slow\n    deps: [raw]\n    outs: [slow]\n"
    )
    return project


@pytest.mark.parametrize("killed", ["stage", "errand", "server", "head"])
def test_a_stage_of_ours_is_forked_and_goes_on_whatever_is_killed(tmp_path, killed):
    """From a process that has imported DVC, which no stage does."""
    project = with_a_stage_of_ours(tmp_path)
    process = project.start()
    kept = tmp_path / ".work/resume/slow/steps"
    wait_until(lambda: kept.exists() and float(kept.read_text() or 0) > 0.5)
    stage = psutil.Process(project.attempts("slow")[0][0])
    errand, server = stage.parents()[:2]
    head = psutil.Process(process.pid)
    {"stage": stage, "errand": errand, "server": server, "head": head}[killed].kill()
    if killed == "head":
        assert all_end(tmp_path)
        process = project.start()
    told = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 0, told
    (first, _), (_, done) = project.attempts("slow")
    assert done > 0 and not is_alive(first)


def test_what_is_home_is_in_the_lock_while_others_run(tmp_path):
    project = Project(tmp_path, a=0.0, b=PATIENCE)
    project.environment["SETTLE"] = "0"
    process = project.start()
    wait_until(lambda: "sample@a" in project.lock() or process.poll() is not None)
    process.kill()
    assert all_end(tmp_path)
    assert list(project.lock()) == ["prepare", "train@a", "sample@a"]
    assert (tmp_path / "samples-a/sample").exists()
    project.runs(a=0.0, b=0.0)
    assert project.reproduce() == ["train@b", "sample@b"]


def test_another_dvc_at_work_meanwhile_stops_nothing(tmp_path):
    project = Project(tmp_path, a=0.0, b=9.0)
    project.environment["SETTLE"] = "0"
    process = project.start()
    project.wait_for("b.model")
    with Lock(str(tmp_path / ".dvc/tmp/lock")):
        time.sleep(5)  # longer than DVC waits for it
    told = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 0, told
    assert len(project.lock()) == 5


def test_a_stage_that_breaks_without_a_word_of_ours_shows_its_end(tmp_path):
    project = Project(tmp_path, a=0.0)
    text = (tmp_path / "dvc.yaml").read_text()
    breaks = f"{sys.executable} -c 'import runpy; runpy.run_path(\"away\")'"
    cmd = f"{sys.executable} stage.py raw prepared 0"
    (tmp_path / "dvc.yaml").write_text(text.replace(cmd, breaks))
    told = project.start().communicate(timeout=PATIENCE)[0].splitlines()
    assert "Traceback (most recent call last):" in told
    assert told[-2].startswith("FileNotFoundError: ")
    assert told[-1] == f"error: prepare: {told[-2]}; .work/logs/prepare.log has all that it said"


def test_progress_is_a_line_a_stage(tmp_path):
    project = Project(tmp_path, a=0.0)
    told = project.start().communicate(timeout=PATIENCE)[0].splitlines()
    assert told[0] == "3 stages, 2 at a time; logs in .work/logs"
    line = r"(\S+): done in \d+:\d\d; {} of 3, [\d.]+ a minute, \d+:\d\d left"
    found = [re.fullmatch(line.format(n), text)[1] for n, text in enumerate(told[1:4], 1)]
    assert found == ["prepare", "train@a", "sample@a"]


def test_one_job_is_a_plain_dvc_repro(tmp_path):
    project = Project(tmp_path, a=0.0)
    told = project.start(jobs=1).communicate(timeout=PATIENCE)[0]
    assert told.count("Running stage '") == 3 and "done in" not in told
    assert list(project.lock()) == ["prepare", "train@a", "sample@a"]


@pytest.mark.parametrize(("jobs", "there"), [(2, 1), (3, 2), (9, 8)])
def test_more_jobs_than_cores_are_refused(jobs, there):
    require_cores(there, there)
    with pytest.raises(UserError, match=f"{there} cores here; give --jobs {there} or less"):
        require_cores(jobs, there)


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("left", ["", '{"write": {"data/prep'])
def test_what_a_killed_dvc_has_left_of_its_list_of_files_in_use_is_in_nobodys_way(
    tmp_path, left, jobs
):
    """DVC writes that list in place, and would refuse to read what is not whole."""
    project = Project(tmp_path, a=0.0)
    (tmp_path / ".dvc/tmp").mkdir()
    (tmp_path / ".dvc/tmp/rwlock").write_text(left)
    told = project.start(jobs=jobs).communicate(timeout=PATIENCE)[0]
    assert list(project.lock()) == ["prepare", "train@a", "sample@a"], told


def test_what_git_has_in_a_folder_of_outs_is_read_too(tmp_path):
    """As in a fresh clone: its reports are those of other runs, and some stages read all there."""
    project = Project(tmp_path, a=0.0)
    (tmp_path / "dvc.yaml").write_text(
        """
stages:
  score:
    cmd: mkdir -p reports/metrics && cp raw reports/metrics/a.json
    deps: [raw]
    outs:
      - reports/metrics/a.json: {cache: false}
  judge:
    cmd: ls reports/metrics > verdict
    deps: [reports/metrics]
    outs: [verdict]
"""
    )
    (tmp_path / "reports/metrics").mkdir(parents=True)
    (tmp_path / "reports/metrics/other.json").write_text("of git")
    assert project.reproduce() == ["score", "judge"]
    assert (tmp_path / "verdict").read_text() == "a.json\nother.json\n"


def test_a_folder_without_git_is_told_what_to_do(tmp_path, monkeypatch):
    """As from a zip: DVC asks git what belongs to the project."""
    project = Project(tmp_path, a=0)
    (project.folder / ".dvc/config").write_text("")
    (project.folder / ".git").rename(tmp_path / "not-git")
    monkeypatch.chdir(project.folder)
    with pytest.raises(UserError) as refused:
        reproduce(2)
    line = str(refused.value)
    assert line.startswith("dvc.yaml: DVC needs git, and this folder is not a git repository; ")
    assert line.endswith("run `git init && git add -A && git commit -m start`")
