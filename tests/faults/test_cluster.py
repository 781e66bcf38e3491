"""A cluster whose workers share nothing but a remote folder: what dies, and what goes on"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import stub_project
from clones import REPOSITORY, Clone
from small_project import PATIENCE, Cluster, Project, all_end, those_within, wait_until

pytestmark = pytest.mark.faults
LONG = 40.0
"""Seconds of a training, of which one is mirrored every 15."""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A scheduler without workers."""
    (tmp_path / "cluster").mkdir()
    made = Cluster(tmp_path / "cluster")
    yield made
    made.close()


@pytest.fixture
def project(tmp_path: Path, cluster: Cluster) -> Project:
    """A project whose head and workers do not see one another's disks."""
    made = Project(tmp_path / "project", a=0.0)
    with (made.folder / ".dvc/config").open("a") as file:
        file.write(f"    remote = shared\n['remote \"shared\"']\n    url = {tmp_path}/remote\n")
    made.environment |= {"XDG_CONFIG_HOME": cluster.environment["XDG_CONFIG_HOME"], "APART": "1"}
    return made


def kill_host(cluster: Cluster, name: str, worker: subprocess.Popen[str]) -> None:
    """All of its processes at once, and nothing that would end them in order."""
    there = those_within(cluster.folder / name)
    worker.kill()
    for process in there:
        process.kill()


def host_of(cluster: Cluster, pid: int) -> str:
    """The host on which a stage runs."""
    return Path(psutil.Process(pid).cwd()).relative_to(cluster.folder).parts[0]


def refusal(process: subprocess.Popen[str]) -> str:
    """The one line with which it ends."""
    told = process.communicate(timeout=PATIENCE)[0].splitlines()
    assert process.returncode == 1
    assert told[-1].startswith("error: ") and "; " in told[-1], told
    assert not any("Traceback" in line for line in told), told
    return told[-1]


def test_three_workers_give_the_lock_of_a_plain_repro(
    project: Project, cluster: Cluster, tmp_path: Path
) -> None:
    project.runs(a=1.0, b=1.0, c=1.0)
    for name in ("one", "two", "three"):
        cluster.worker(name)
    ran = project.reproduce(cluster=str(cluster.file))
    assert sorted(ran) == sorted(project.lock())
    plain = Project(tmp_path / "plain", a=1.0, b=1.0, c=1.0)
    dvc = [sys.executable, "-m", "dvc", "repro", "--quiet"]
    subprocess.run(dvc, cwd=plain.folder, env=plain.environment, check=True)
    lock = (plain.folder / "dvc.lock").read_bytes()
    assert (project.folder / "dvc.lock").read_bytes() == lock
    assert project.reproduce(cluster=str(cluster.file)) == []


def test_every_stage_of_the_pipeline_by_three_workers(
    cluster: Cluster, tmp_path: Path, project: Project
) -> None:
    """Bodies are stubs; stages, their deps and their order are those of dvc.yaml."""
    folders = [tmp_path / name for name in ("plain", "embedded", "joined")]
    stub_project.make(folders[0], small=True)
    for folder in folders[1:]:
        shutil.copytree(folders[0], folder)
    remote = f"[core]\n    remote = r\n['remote \"r\"']\n    url = {tmp_path}/stubs\n"
    (folders[2] / ".dvc/config.local").write_text(remote)
    subprocess.run([sys.executable, "-m", "dvc", "repro", "--quiet"], cwd=folders[0], check=True)
    for name in ("one", "two", "three"):
        cluster.worker(name)
    ways = ({"jobs": 2}, {"cluster": str(cluster.file)})
    for folder, wishes in zip(folders[1:], ways, strict=True):
        other = Project.__new__(Project)
        other.folder, other.environment = folder, project.environment
        assert other.reproduce(**wishes)
        assert (folder / "dvc.lock").read_bytes() == (folders[0] / "dvc.lock").read_bytes()


def test_a_lost_host_costs_what_was_not_mirrored(project: Project, cluster: Cluster) -> None:
    """Its worker, errand and stage are killed at once, and it never comes back."""
    project.runs(a=LONG)
    workers = {name: cluster.worker(name) for name in ("one", "two")}
    process = project.start(cluster=str(cluster.file))
    mirrored = project.folder.parent / "remote/resume/train@a/steps"
    wait_until(mirrored.exists)
    lost = host_of(cluster, project.attempts("a.model")[0][0])
    kill_host(cluster, lost, workers[lost])
    wait_until(lambda: len(project.attempts("a.model")) == 2)
    (_, begun), (pid, done) = project.attempts("a.model")
    assert begun == 0 < done
    assert host_of(cluster, pid) != lost
    told = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 0, told
    assert "up to date" in told
    assert not mirrored.exists()


def test_an_orphan_does_not_train_beside_its_retry(project: Project, cluster: Cluster) -> None:
    """The worker alone is killed, and comes back on the same host at once."""
    project.runs(a=12.0)
    worker = cluster.worker("one")
    process = project.start(cluster=str(cluster.file))
    wait_until(lambda: project.attempts("a.model"))
    orphan = psutil.Process(project.attempts("a.model")[0][0])
    wait_until(lambda: any((cluster.folder / "one").glob("work/*/resume/train@a/steps")))
    kept = next((cluster.folder / "one").glob("work/*/resume/train@a/steps"))
    wait_until(lambda: float(kept.read_text()) > 1)
    worker.kill()
    cluster.worker("one")
    wait_until(lambda: len(project.attempts("a.model")) == 2)
    assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE
    told = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 0, told
    assert project.attempts("a.model")[1][1] > 0  # it went on from its host's own state


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_head_that_ends_leaves_nothing_running(
    project: Project, cluster: Cluster, number: int
) -> None:
    project.runs(a=LONG, b=0.0)
    for name in ("one", "two"):
        cluster.worker(name)
    process = project.start(cluster=str(cluster.file))
    wait_until(lambda: project.attempts("a.model") and project.attempts("sample"))
    stage = psutil.Process(project.attempts("a.model")[0][0])
    process.send_signal(number)
    wait_until(lambda: not stage.is_running() or stage.status() == psutil.STATUS_ZOMBIE, 10)
    process.communicate(timeout=PATIENCE)
    assert all_end(project.folder)
    project.runs(a=0.0, b=0.0)
    assert "train@a" in project.reproduce(cluster=str(cluster.file))
    assert list(project.lock()) == ["prepare", "train@a", "train@b", "sample@a", "sample@b"]


def test_a_stage_that_errs_is_told_once(project: Project, cluster: Cluster) -> None:
    project.runs(bad=0.0)
    (project.folder / "bad").touch()
    cluster.worker("one")
    line = refusal(project.start(cluster=str(cluster.file)))
    assert line == (
        "error: train@bad: it is bad; make it good; .work/logs/train@bad.log has all that it said"
    )
    assert "it is bad" in (project.folder / ".work/logs/train@bad.log").read_text()
    assert list(project.lock()) == ["prepare"]


def test_a_remote_that_goes_away_is_named(project: Project, cluster: Cluster) -> None:
    project.runs(a=5.0)
    cluster.worker("one")
    process = project.start(cluster=str(cluster.file))
    wait_until(lambda: project.attempts("a.model"))
    remote = project.folder.parent / "remote"
    remote.rename(remote.with_name("gone"))
    remote.write_text("no folder any more")
    assert str(remote) in refusal(process)
    remote.unlink()
    remote.with_name("gone").rename(remote)
    assert "train@a" in project.reproduce(cluster=str(cluster.file))


def test_a_remote_without_room_is_named(project: Project, cluster: Cluster) -> None:
    remote = project.folder.parent / "remote"
    remote.mkdir()
    size = ["mount", "-t", "tmpfs", "-o", "size=64k,nr_inodes=12", "none", str(remote)]
    if shutil.which("mount") is None or subprocess.run(size, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        cluster.worker("one")
        assert str(remote) in refusal(project.start(cluster=str(cluster.file)))
    finally:
        subprocess.run(["umount", "--lazy", str(remote)], check=True)


def test_a_head_without_remote_is_told_what_to_do(project: Project, cluster: Cluster) -> None:
    config = project.folder / ".dvc/config"
    config.write_text("[core]\n    no_scm = true\n    analytics = false\n")
    cluster.worker("one")
    assert "`dvc remote add -d NAME URL`" in refusal(project.start(cluster=str(cluster.file)))


def test_workers_of_other_code_are_refused(
    project: Project, cluster: Cluster, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(REPOSITORY / "src", other)
    with (other / "mnist_diffusion/distribution/errand.py").open("a") as file:
        file.write("\nEDITED = True\n")
    cluster.environment["PYTHONPATH"] = str(other)
    cluster.worker("one")
    line = refusal(project.start(cluster=str(cluster.file)))
    assert "other code than here (mnist_diffusion/distribution/errand.py" in line


def test_a_scheduler_that_does_not_answer_is_told(project: Project, cluster: Cluster) -> None:
    line = refusal(project.start(cluster="tls://127.0.0.1:9"))
    assert "no scheduler answers there" in line
    os.kill(cluster.scheduler.pid, signal.SIGSTOP)
    line = refusal(project.start(cluster=str(cluster.file)))
    os.kill(cluster.scheduler.pid, signal.SIGCONT)
    assert "no scheduler answers there" in line


def test_a_foreign_certificate_is_refused(
    project: Project, cluster: Cluster, tmp_path: Path
) -> None:
    project.environment["XDG_CONFIG_HOME"] = str(tmp_path / "foreign")
    cluster.environment["XDG_CONFIG_HOME"] = str(tmp_path / "foreign")
    assert cluster.call("tls").returncode == 0
    assert "another certificate" in refusal(project.start(cluster=str(cluster.file)))
    done = cluster.call("worker", str(cluster.file))
    assert done.returncode == 1
    assert "another certificate" in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_scheduler_that_dies_ends_all_in_one_line(project: Project, cluster: Cluster) -> None:
    project.runs(a=LONG)
    worker = cluster.worker("one")
    process = project.start(cluster=str(cluster.file))
    wait_until(lambda: project.attempts("a.model"))
    stage = psutil.Process(project.attempts("a.model")[0][0])
    cluster.scheduler.kill()
    assert "the scheduler is gone" in refusal(process)
    wait_until(lambda: not stage.is_running() or stage.status() == psutil.STATUS_ZOMBIE, 10)
    worker.wait(30)


def test_a_training_whose_host_is_lost_gives_the_same_bits(
    judged: Clone, ran: Clone, cluster: Cluster, tmp_path: Path
) -> None:
    """Real trainings and everything after them, with the manifests of a run on one host."""
    clone = judged.copy(tmp_path / "repository")
    clone.environment |= {"XDG_CONFIG_HOME": cluster.environment["XDG_CONFIG_HOME"]}
    clone.run("dvc", "remote", "add", "-d", "shared", str(tmp_path / "remote"))
    workers = {name: cluster.worker(name) for name in ("one", "two")}
    log = (tmp_path / "log").open("w+")
    process = subprocess.Popen(
        ["mnist-diffusion", "repro", "--cluster", str(cluster.file)],
        cwd=clone.folder,
        env=clone.environment,
        stdout=log,
        stderr=subprocess.STDOUT,
    )

    def trains(name: str) -> bool:
        return any((cluster.folder / name).glob("work/*/resume/train@*/*"))

    wait_until(lambda: any(map(trains, workers)))
    lost = next(filter(trains, workers))
    kill_host(cluster, lost, workers[lost])
    process.wait(PATIENCE)
    log.seek(0)
    assert process.returncode == 0, log.read()
    assert clone.contents() == ran.contents()
    assert clone.tree("dvc.lock") == ran.tree("dvc.lock")
