"""A cluster whose workers share nothing but a remote folder: what dies, and what goes on"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import stub_project
from clones import REPOSITORY, Clone, new_clone
from distributed import Client
from ruamel.yaml import YAML
from small_project import (
    PATIENCE,
    Cluster,
    Project,
    all_end,
    attempts,
    is_alive,
    those_within,
    wait_until,
)
from test_resume import write_params

pytestmark = pytest.mark.faults
SLOWLY = Path(__file__).parent / "slowly.py"
LONG = 40.0
"""Seconds of a training, of which one is mirrored every 5."""
BuildOnce = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    yield made
    made.close()


@pytest.fixture
def cluster(scheduler: Cluster) -> Iterator[Cluster]:
    """A scheduler without workers."""
    before = dict(scheduler.environment)
    yield scheduler
    scheduler.end_workers()
    scheduler.environment = before


@pytest.fixture
def project(tmp_path: Path, cluster: Cluster) -> Project:
    """A project whose head and workers do not see one another's disks."""
    made = Project(tmp_path / "project", a=0.0)
    with (made.folder / ".dvc/config").open("a") as file:
        file.write(f"    remote = shared\n['remote \"shared\"']\n    url = {tmp_path}/remote\n")
    made.environment |= {"XDG_CONFIG_HOME": cluster.environment["XDG_CONFIG_HOME"], "APART": "1"}
    return made


@pytest.fixture(scope="module")
def prepared(build_once: BuildOnce, raw_mnist: Path) -> Clone:
    """A repository whose real trainings take some seconds, and of which none has run."""

    def build(folder: Path) -> None:
        clone = new_clone(folder / "repository", raw_mnist)
        write_params(clone.folder)
        yaml = YAML(typ="safe")
        params = yaml.load(clone.folder / "params.yaml")
        del params["runs"]["words"]  # which read what more stages make
        yaml.dump(params, clone.folder / "params.yaml")
        pipeline = yaml.load(clone.folder / "dvc.yaml")
        stages = {name: pipeline["stages"][name] for name in ("code", "fetch", "prepare", "train")}
        stages["train"]["do"]["cmd"] = f"{sys.executable} {SLOWLY} train"
        YAML().dump({"stages": stages}, clone.folder / "dvc.yaml")
        clone.run("dvc", "repro", "--quiet", "prepare")

    return Clone(build_once("trains for seconds", build) / "repository")


@pytest.fixture(scope="module")
def control(prepared: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """The same, trained by a plain `dvc repro`, and never killed."""
    clone = prepared.copy(tmp_path_factory.mktemp("control") / "repository")
    clone.run("dvc", "repro", "--quiet")
    return clone


def kill_host(cluster: Cluster, name: str, worker: subprocess.Popen[str]) -> None:
    """All of its processes at once, and nothing that would end them in order."""
    there = those_within(cluster.folder / name)
    worker.kill()
    for process in there:
        process.kill()


def host_of(cluster: Cluster, pid: int) -> str:
    """The host on which a stage runs."""
    return Path(psutil.Process(pid).cwd()).relative_to(cluster.folder).parts[0]


def errand_of(pid: int) -> psutil.Process:
    """The process that has DVC run a stage."""
    above = psutil.Process(pid).parents()
    return next(one for one in above if "mnist_diffusion.distribution.errand" in one.cmdline())


def refusal(process: subprocess.Popen[str]) -> str:
    """The one line with which it ends."""
    told = process.communicate(timeout=PATIENCE)[0].splitlines()
    assert process.returncode == 1, told
    assert told[-1].startswith("error: ") and "; " in told[-1], told
    assert not any("Traceback" in line for line in told), told
    return told[-1]


@pytest.mark.parametrize("killed", ["worker", "errand", "node", "head"])
def test_a_training_that_is_killed_gives_the_same_bits(
    prepared: Clone, control: Clone, cluster: Cluster, tmp_path: Path, killed: str
) -> None:
    """A real one, once some of it is mirrored: another worker goes on, and never beside an orphan.

    A node, a worker with all that it has started, does not come back.
    """
    clone = prepared.copy(tmp_path / "repository")
    remote = ("remote", "add", "--local", "-d", "shared", str(tmp_path / "remote"))
    clone.run("dvc", *remote)
    variables = {"XDG_CONFIG_HOME": cluster.environment["XDG_CONFIG_HOME"], "APART": "1"}
    project = Project.at(clone.folder, clone.environment | variables)
    log, stage = tmp_path / "attempts", "train@fast"
    workers = {name: cluster.worker(name, ATTEMPTS=str(log)) for name in ("one", "two")}
    head = project.start(cluster=str(cluster.file))
    mirror = tmp_path / f"remote/resume/{stage}"
    wait_until(lambda: any(mirror.glob("*.safetensors")) or head.poll() is not None)
    assert head.poll() is None, head.communicate()[0]
    (first, goes_on) = attempts(log, stage)[0]
    host = host_of(cluster, first)
    match killed:
        case "worker":
            workers[host].kill()
        case "errand":
            errand_of(first).kill()
        case "node":
            kill_host(cluster, host, workers[host])
        case "head":
            head.kill()
            wait_until(lambda: not is_alive(first), 10)
            head = project.start(cluster=str(cluster.file))
    wait_until(lambda: len(attempts(log, stage)) == 2)
    assert not is_alive(first) and not goes_on
    told = head.communicate(timeout=PATIENCE)[0]
    assert head.returncode == 0, told
    assert attempts(log, stage)[1][1], "it began anew"
    assert clone.contents("models") == control.contents("models")
    assert clone.tree("dvc.lock", "models") == control.tree("dvc.lock", "models")
    assert not any(path.is_file() for path in (tmp_path / "remote/resume").rglob("*"))


def test_a_stage_of_two_gpus_is_trained_by_two_processes(
    prepared: Clone, control: Clone, cluster: Cluster, tmp_path: Path
) -> None:
    """On processors, by gloo: what the worker's variable calls GPUs are none. One is killed."""
    pytest.importorskip("mnist_diffusion.runtime.ranks")
    clone = prepared.copy(tmp_path / "repository")
    pipeline = YAML(typ="safe").load(clone.folder / "dvc.yaml")
    pipeline["stages"]["train"]["do"] |= {"cmd": "mnist-diffusion train", "meta": {"gpus": 2}}
    YAML().dump(pipeline, clone.folder / "dvc.yaml")
    variables = {"XDG_CONFIG_HOME": cluster.environment["XDG_CONFIG_HOME"]}
    project = Project.at(clone.folder, clone.environment | variables)
    cluster.worker("one", "--gpus-per-worker", "2", CUDA_VISIBLE_DEVICES="0,1")
    head = project.start(cluster=str(cluster.file))
    wait_until(lambda: {"0", "1"} == ranks_within(cluster.folder / "one").keys())
    assert listened_at(cluster.folder / "one") == {"127.0.0.1"}
    ranks_within(cluster.folder / "one")["1"].kill()
    told = head.communicate(timeout=PATIENCE)[0]
    assert head.returncode == 0, told
    assert clone.tree("models") == control.tree("models")


def listened_at(folder: Path) -> set[str]:
    """The addresses at which processes that work in a folder can be spoken to."""
    sockets = [socket for one in those_within(folder) for socket in one.net_connections()]
    return {socket.laddr.ip for socket in sockets if socket.status == psutil.CONN_LISTEN}


def ranks_within(folder: Path) -> dict[str, psutil.Process]:
    """The processes of one training that work in a folder."""
    found = {}
    for process in those_within(folder):
        with suppress(psutil.Error, KeyError):
            found[process.environ()["RANK"]] = process
    return found


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
    plain, joined = tmp_path / "plain", tmp_path / "joined"
    stub_project.make(plain, small=True)
    shutil.copytree(plain, joined)
    remote = f"[core]\n    remote = r\n['remote \"r\"']\n    url = {tmp_path}/stubs\n"
    (joined / ".dvc/config.local").write_text(remote)
    subprocess.run([sys.executable, "-m", "dvc", "repro", "--quiet"], cwd=plain, check=True)
    for name in ("one", "two", "three"):
        cluster.worker(name)
    assert Project.at(joined, project.environment).reproduce(cluster=str(cluster.file))
    assert (joined / "dvc.lock").read_bytes() == (plain / "dvc.lock").read_bytes()


def test_a_shared_cache_needs_no_remote(project: Project, cluster: Cluster) -> None:
    del project.environment["APART"]
    cluster.worker("one")
    assert project.reproduce(cluster=str(cluster.file)) == ["prepare", "train@a", "sample@a"]
    assert not (project.folder.parent / "remote").exists()
    assert (project.folder / "samples-a/sample").read_text() == "raw prepareda.modelsample"


def test_ctrl_c_ends_all_in_ten_seconds_of_which_each_has_a_copy(
    project: Project, cluster: Cluster
) -> None:
    """Two workers of one host."""
    project.runs(a=LONG, b=LONG)
    cluster.worker("one", "--cores", "1")
    head = project.start(cluster=str(cluster.file))
    wait_until(lambda: project.attempts("a.model") and project.attempts("b.model"))
    stages = [project.attempts(f"{run}.model")[0][0] for run in ("a", "b")]
    assert len({psutil.Process(stage).cwd() for stage in stages}) == 2
    head.send_signal(signal.SIGINT)
    wait_until(lambda: not any(map(is_alive, stages)) and head.poll() is not None, 10)
    assert head.returncode != 0
    assert all_end(project.folder)
    assert list(project.lock()) == ["prepare"]
    assert "Traceback" not in cluster.said()


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
    cluster.worker("one", PYTHONPATH=str(other))
    line = refusal(project.start(cluster=str(cluster.file)))
    assert "other code than here (mnist_diffusion/distribution/errand.py" in line


def test_a_killed_head_keeps_no_worker_of_later_code_away(
    project: Project, cluster: Cluster, tmp_path: Path
) -> None:
    project.runs(a=LONG)
    first = cluster.worker("one")
    head = project.start(cluster=str(cluster.file))
    wait_until(lambda: project.attempts("a.model"))
    head.kill()
    first.terminate()
    first.wait(30)
    other = tmp_path / "other"
    shutil.copytree(REPOSITORY / "src", other)
    with (other / "mnist_diffusion/distribution/errand.py").open("a") as file:
        file.write("\nEDITED = True\n")
    project.environment["PYTHONPATH"] = str(other)
    project.runs(a=0.0)
    cluster.worker("two", PYTHONPATH=str(other))
    assert "train@a" in project.reproduce(cluster=str(cluster.file))


def test_workers_that_round_otherwise_are_refused_unless_wished(
    project: Project, cluster: Cluster
) -> None:
    cluster.worker("one")
    cluster.worker("two", ATEN_CPU_CAPABILITY="default")
    compute = json.dumps({"device": "cpu", "instructions": "native"})
    line = refusal(project.start(cluster=str(cluster.file), compute=compute))
    assert "rounds otherwise than the others (numerics: " in line and line.endswith(", or --mixed")
    assert project.reproduce(cluster=str(cluster.file))


def test_a_stage_that_asks_for_more_gpus_than_a_worker_has_is_refused(
    project: Project, cluster: Cluster
) -> None:
    text = (project.folder / "dvc.yaml").read_text()
    (project.folder / "dvc.yaml").write_text(
        text.replace("deps: [raw]", "deps: [raw]\n    meta: {gpus: 3}")
    )
    cluster.worker("one", "--gpus-per-worker", "2", CUDA_VISIBLE_DEVICES="0,1,2")
    line = refusal(project.start(cluster=str(cluster.file)))
    assert "prepare: needs 3 GPUs, and no worker has more than 2" in line


def test_a_scheduler_that_does_not_answer_is_told(project: Project, cluster: Cluster) -> None:
    assert "no scheduler answers there" in refusal(project.start(cluster="tls://127.0.0.1:9"))
    os.kill(cluster.scheduler.pid, signal.SIGSTOP)
    line = refusal(project.start(cluster=str(cluster.file)))
    os.kill(cluster.scheduler.pid, signal.SIGCONT)
    assert "no scheduler answers there" in line


def test_a_foreign_certificate_and_no_encryption_are_refused(
    project: Project, cluster: Cluster, tmp_path: Path
) -> None:
    project.environment["XDG_CONFIG_HOME"] = str(tmp_path / "foreign")
    cluster.environment["XDG_CONFIG_HOME"] = str(tmp_path / "foreign")
    assert cluster.call("tls").returncode == 0
    assert "another certificate" in refusal(project.start(cluster=str(cluster.file)))
    done = cluster.call("worker", str(cluster.file))
    assert done.returncode == 1
    assert "another certificate" in done.stderr and len(done.stderr.splitlines()) == 1
    done = cluster.call("worker", "tcp://127.0.0.1:8786")
    assert done.stderr.startswith("error: tcp://127.0.0.1:8786: is not encrypted; ")


def test_a_scheduler_speaks_to_nobody_without_a_certificate(cluster: Cluster) -> None:
    """Whoever they are: in plain words, or encrypted and with nothing to show."""
    address = json.loads(cluster.file.read_text())["address"].removeprefix("tls://")
    with pytest.raises(OSError, match=r"Timed out|reset by peer"):  # by when it notices
        Client(f"tcp://{address}", timeout="3s")
    anyone = ssl.create_default_context()
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    host, _, port = address.rpartition(":")
    with (
        socket.create_connection((host, int(port))) as plain,
        anyone.wrap_socket(plain) as encrypted,
        pytest.raises(ssl.SSLError, match=r"(?i)certificate.required"),
    ):
        encrypted.recv(1)


def test_hosts_by_ssh_give_the_same_bits_and_end_with_the_head(
    prepared: Clone, control: Clone, tmp_path: Path
) -> None:
    """The committed script, with a stand-in for ssh, which gives each host a home."""
    clone = prepared.copy(tmp_path / "repository")
    command = clone.folder / ".venv/bin/mnist-diffusion"
    script(command, f'exec {sys.executable} -m mnist_diffusion "$@"')
    script(
        tmp_path / "bin/ssh",
        'while [ "${1#-}" != "$1" ]; do shift; done',
        'export HOME="$HOSTS/$1" MNIST_DIFFUSION_SCRATCH="$HOSTS/$1/scratch"',
        'unset XDG_CONFIG_HOME; mkdir -p "$HOME"; cd; shift; exec sh -c "$*"',
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    variables = {"ADDRESS": "127.0.0.1", "PORT": port, "HOSTS": str(tmp_path / "hosts")}
    variables |= {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    variables["PATH"] = f"{tmp_path}/bin:{clone.environment['PATH']}"
    clone.run("cluster/ssh.sh", "one", "two", env=clone.environment | variables)
    assert all_end(tmp_path)
    assert clone.contents("models") == control.contents("models")
    key = tmp_path / "hosts/two/.config/mnist-diffusion/key.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def script(file: Path, *lines: str) -> None:
    file.parent.mkdir(parents=True)
    file.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    file.chmod(0o755)


def test_a_scheduler_that_dies_ends_all_in_one_line(project: Project, tmp_path: Path) -> None:
    (tmp_path / "cluster").mkdir()
    cluster = Cluster(tmp_path / "cluster")
    project.environment["XDG_CONFIG_HOME"] = cluster.environment["XDG_CONFIG_HOME"]
    project.runs(a=LONG)
    worker = cluster.worker("one")
    process = project.start(cluster=str(cluster.file))
    wait_until(lambda: project.attempts("a.model"))
    stage = project.attempts("a.model")[0][0]
    cluster.scheduler.kill()
    assert "the scheduler is gone" in refusal(process)
    assert list(project.lock()) == ["prepare"]
    wait_until(lambda: not is_alive(stage), 10)
    worker.wait(30)
    cluster.close()
