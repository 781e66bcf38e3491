"""The parts of `distribution`: plans, bundles, copies, certificates, what workers must have."""

import asyncio
import logging
import os
import stat
import subprocess
import sys
import tarfile
import time
import warnings
from io import BytesIO
from pathlib import Path

import pytest
from distributed.core import Server
from distributed.diskutils import WorkSpace
from dvc.dependency import param
from dvc.fs import localfs
from dvc.repo import Repo
from small_project import Project, wait_until

from mnist_diffusion.distribution import quick_dvc, security, workplace
from mnist_diffusion.distribution.bundle import RANKS, Exchange, archive
from mnist_diffusion.distribution.compatibility import facts, require_same
from mnist_diffusion.distribution.plan import Plan, plan
from mnist_diffusion.distribution.transfer import mirrored
from mnist_diffusion.distribution.worker import configure, slots, visible_gpus, work
from mnist_diffusion.distribution.workplace import Slot
from mnist_diffusion.runtime.errors import UserError


def archive_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.chdir(folder)
    return archive(["samples-a"])


def test_workers_are_sent_what_git_has_but_no_outs_and_no_docs(tmp_path, monkeypatch):
    project = Project(tmp_path, a=0.0)
    for name in ("samples-a/sample", "docs/page.md", "dvc.lock", ".work/scratch"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("not to be sent")
    os.link(tmp_path / "raw", tmp_path / "raw-again")
    with tarfile.open(fileobj=BytesIO(archive_of(project.folder, monkeypatch))) as tar:
        tar.extractall(tmp_path / "there", filter="data")
    sent = {
        path.relative_to(tmp_path / "there").as_posix(): path.read_bytes()
        for path in (tmp_path / "there").rglob("*")
        if path.is_file()
    }
    names = [".dvc/config", ".dvcignore", ".gitignore", "dvc.yaml", "params.yaml"]
    names += ["raw", "raw-again", "stage.py"]
    assert sent == {name: (tmp_path / name).read_bytes() for name in names}


def test_the_plan_has_the_order_of_dvc_repro(tmp_path, monkeypatch):
    project = Project(tmp_path, a=0.0, b=0.0)
    monkeypatch.chdir(tmp_path)
    found = plan(Repo())
    dvc = [sys.executable, "-m", "dvc", "repro", "--quiet"]
    subprocess.run(dvc, env=project.environment, check=True)
    assert list(project.lock()) == list(found.due)
    assert found.due["sample@b"] == {"train@b"}
    assert found.first_here() == [] and found.away == found.due
    heights = found.heights()
    assert [heights[name] for name in ("prepare", "train@a", "sample@a")] == [2, 1, 0]


@pytest.mark.parametrize("keys", [["runs.a", "list"], ["runs.b", "list.1"], ["li*"], None])
def test_params_are_read_as_dvc_reads_them(tmp_path, monkeypatch, keys):
    """Also what is not there, what is in a list, a pattern, the whole file, and what is new."""
    project = Project(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(param, "read_param_file", param.read_param_file)
    by_dvc = getattr(param.read_param_file, "args", [param.read_param_file])[0]
    quick_dvc.open_repo().close()
    assert param.read_param_file is not by_dvc
    for number in (1, 2):
        text = f"runs: {{a: {number}, c: x}}\nlist: [1, {number}]\n"
        (project.folder / "params.yaml").write_text(text)
        arguments = (localfs, str(tmp_path / "params.yaml"), keys, True)
        assert param.read_param_file(*arguments) == by_dvc(*arguments)


class Stage:
    def __init__(self, **meta: object):
        self.meta, self.outs = meta, ()


def test_a_stage_asks_for_what_dvc_yaml_says():
    stages = {"a": Stage(gpus=2, title="any"), "b": Stage(), "c": Stage(gpus="two")}
    found = Plan(None, stages, {name: [] for name in stages}, set(stages), {})
    assert (found.gpus("a"), found.gpus("b")) == (2, 0)
    with pytest.raises(UserError, match=r"dvc.yaml: c: meta.gpus is 'two'; give a number"):
        found.gpus("c")


def test_a_copy_is_whole_and_takes_the_place_of_others(tmp_path, monkeypatch):
    content = archive_of(Project(tmp_path / "project", a=0.0).folder, monkeypatch)
    exchange = Exchange("", work=str(tmp_path / "work"))
    first, second = tmp_path / "copies/one", tmp_path / "copies/two"
    with pytest.raises(tarfile.ReadError):
        workplace._unpack(content[:700], exchange, first)
    assert not first.exists()
    workplace._unpack(content, exchange, first)
    assert (first / "raw").read_text() == "raw "
    workplace._unpack(content, exchange, second)
    assert [path.name for path in (tmp_path / "copies").iterdir()] == ["two"]
    assert (second / ".work").readlink() == tmp_path / "work"


def test_a_mirror_gives_another_host_what_is_whole(tmp_path):
    here, there, place = tmp_path / "here", tmp_path / "there", tmp_path / "remote/resume/train@a"
    here.mkdir()
    with mirrored(localfs, str(place), here, 0.01):
        (here / ".state.77").write_text("torn")
        (here / "state").write_text("step 3")
        wait_until((place / "state").exists)
        other = mirrored(localfs, str(place), there, 0.01)
        other.__enter__()
        assert [path.name for path in there.iterdir()] == ["state"]
        assert (there / "state").read_text() == "step 3"
        failure = RuntimeError("killed")
        assert not other.__exit__(RuntimeError, failure, None)
        assert [path.name for path in place.iterdir()] == ["state"]
    assert not list(place.iterdir())  # the work is published


def test_a_mirror_does_not_take_what_is_older_than_its_own(tmp_path):
    (tmp_path / "remote").mkdir()
    (tmp_path / "remote/state").write_text("step 3")
    (tmp_path / "here").mkdir()
    (tmp_path / "here/state").write_text("step 5")
    with mirrored(localfs, str(tmp_path / "remote"), tmp_path / "here"):
        assert (tmp_path / "here/state").read_text() == "step 5"


def test_a_mirror_that_is_away_fails_nothing(tmp_path, capsys):
    (tmp_path / "remote").write_text("no folder")
    (tmp_path / "here").mkdir()
    (tmp_path / "here/state").write_text("step 5")
    with mirrored(localfs, str(tmp_path / "remote/a"), tmp_path / "here", 0.01):
        time.sleep(0.1)
    assert f"warning: {tmp_path}/remote/a: not mirrored" in capsys.readouterr().err


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config/mnist-diffusion"


def test_a_certificate_is_made_once_and_its_key_is_nobody_elses(config):
    with pytest.raises(UserError, match="has no certificate; run `mnist-diffusion tls` once"):
        security.security()
    assert security.write_certificate() == config
    assert stat.S_IMODE((config / "key.pem").stat().st_mode) == 0o600
    assert security.security().require_encryption
    with pytest.raises(UserError, match="is there already"):
        security.write_certificate()


def test_only_tls_is_spoken(tmp_path, monkeypatch):
    assert security.address_of("tls://here:8786") == "tls://here:8786"
    with pytest.raises(UserError, match="tcp://here:8786: is not encrypted; give the tls://"):
        security.address_of("tcp://here:8786")
    file = tmp_path / "scheduler.json"
    monkeypatch.setattr(security, "SECONDS_FOR_FILE", 0.1)
    with pytest.raises(UserError, match="no scheduler has written it"):
        security.address_of(str(file))
    for content, cause in (
        ('{"address": "tcp://here:1"}', "is not encrypted"),
        ("[]", "is not the file of a scheduler"),
        ("no json", "not JSON"),
    ):
        file.write_text(content)
        with pytest.raises(UserError, match=cause):
            security.address_of(str(file))


def test_workers_of_other_code_packages_or_numerics_are_refused():
    here = facts()
    assert here["package python"] and here["package dvc"]
    require_same("tls://two", here, dict(here))
    file = "code mnist_diffusion/distribution/errand.py"
    with pytest.raises(
        UserError, match=r"tls://two: has other code than here \(.*errand.py: .* 0\)"
    ):
        require_same("tls://two", here, here | {file: "0"})
    with pytest.raises(UserError, match=r"other code than here \(more.py: none and 0\); bring it"):
        require_same("tls://two", here, here | {"code more.py": "0"})
    with pytest.raises(UserError, match=r"other packages than here \(dvc: .* and 1.0\); install"):
        require_same("tls://two", here, here | {"package dvc": "1.0"})
    with pytest.raises(UserError, match=r"rounds otherwise than the others \(x: a and b\); use"):
        require_same("tls://two", here | {"numerics x": "a"}, here | {"numerics x": "b"})


@pytest.mark.parametrize(
    ("gpus", "gpus_each", "cores_each", "expected"),
    [
        ([], 1, 2, [Slot(2)] * 4),
        ([], 1, None, [Slot(1)] * 8),
        ([], 1, 9, []),
        (["0", "1", "2"], 1, 2, [Slot(2, ["0"]), Slot(2, ["1"]), Slot(2, ["2"])]),
        (["0", "1", "2", "3"], 2, None, [Slot(4, ["0", "1"]), Slot(4, ["2", "3"])]),
        (["0", "1", "2"], 2, None, [Slot(8, ["0", "1"])]),
        (["0"], 2, None, []),
        (["0", "1"], 0, 4, [Slot(4)] * 2),
    ],
)
def test_a_host_is_shared_out(gpus, gpus_each, cores_each, expected, monkeypatch):
    monkeypatch.setattr("mnist_diffusion.distribution.worker.cores", lambda: 8)
    assert slots(gpus, gpus_each, cores_each) == expected


def test_a_worker_of_more_than_its_host_has_is_refused():
    with pytest.raises(UserError, match=r": this host has \d+ GPUs and \d+ cores; give no more"):
        work("tls://here:1", 1, 10_000)


@pytest.mark.parametrize(
    ("said", "expected"), [("", []), ("-1", []), ("0,3", ["0", "3"]), ("GPU-ab", ["GPU-ab"])]
)
def test_the_gpus_are_those_that_this_process_may_use(said, expected, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", said)
    assert visible_gpus() == expected


def test_a_slow_disk_is_nothing_to_tell_the_user(tmp_path, monkeypatch):
    """Dask would name an option of its own, also where only processors are slow."""
    make = WorkSpace.__init__

    def slowly(self, *arguments, **options):
        time.sleep(1.1)
        make(self, *arguments, **options)

    async def serve():
        await Server({}, local_directory=str(tmp_path)).close()

    monkeypatch.setattr(WorkSpace, "__init__", slowly)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        asyncio.run(serve())
        assert "scratch directories" in str(told.pop().message)
        configure(logging.CRITICAL)
        asyncio.run(serve())
    assert not told


def test_scratch_of_another_user_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("MNIST_DIFFUSION_SCRATCH", str(tmp_path / "s"))
    assert workplace.scratch() == tmp_path / "s"
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o700
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(UserError, match="is another user's; set MNIST_DIFFUSION_SCRATCH"):
        workplace.scratch()


def test_a_stage_that_is_to_be_several_processes_becomes_torchrun():
    become = "from mnist_diffusion.distribution.launch import share_out; share_out()"
    done = subprocess.run(
        [sys.executable, "-c", become, "--help"],
        env=os.environ | {RANKS: "2"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count("Usage: ") == 2
