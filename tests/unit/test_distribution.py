"""The parts of `distribution`: plans, bundles, copies, certificates, what workers must have."""

import os
import stat
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path

import pytest
from dvc.repo import Repo
from small_project import Project

from mnist_diffusion.distribution import security, workplace
from mnist_diffusion.distribution.bundle import Bundle, Exchange, archive
from mnist_diffusion.distribution.compatibility import facts, require_same
from mnist_diffusion.distribution.mirror import Mirror
from mnist_diffusion.distribution.plan import Plan, plan
from mnist_diffusion.distribution.worker import slots, visible_gpus
from mnist_diffusion.distribution.workplace import Slot
from mnist_diffusion.runtime.errors import UserError


def bundle_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    monkeypatch.chdir(folder)
    return Bundle(archive(["samples-a"]), Exchange(cache=str(folder / ".dvc/cache"), work="w"))


def test_equal_trees_make_equal_bundles(tmp_path, monkeypatch):
    one, other = Project(tmp_path / "one", a=0.0), Project(tmp_path / "other", a=0.0)
    (other.folder / "stage.py").write_bytes((one.folder / "stage.py").read_bytes())
    os.utime(other.folder / "raw", (1, 1))
    (other.folder / "samples-a").mkdir()
    (other.folder / "samples-a/sample").write_text("an out")
    (other.folder / "reports").mkdir()
    (other.folder / "reports/README.md").write_text("a report")
    assert (
        bundle_of(one.folder, monkeypatch).content == bundle_of(other.folder, monkeypatch).content
    )
    with tarfile.open(fileobj=BytesIO(bundle_of(other.folder, monkeypatch).content)) as tar:
        names = tar.getnames()
    hidden = [".dvc/config", ".dvcignore", ".gitignore"]
    assert names == [*hidden, "dvc.yaml", "params.yaml", "raw", "stage.py"]
    before = bundle_of(one.folder, monkeypatch).digest
    (one.folder / "raw").write_text("war ")
    assert bundle_of(one.folder, monkeypatch).digest != before


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


class Stage:
    def __init__(self, **meta: object):
        self.meta, self.outs = meta, ()


def test_a_stage_asks_for_what_dvc_yaml_says():
    stages = {"a": Stage(gpus=2, title="any"), "b": Stage(), "c": Stage(cores=0)}
    found = Plan(None, stages, {name: [] for name in stages}, set(stages), {})
    assert found.needs("a") == {"gpus": 2}
    assert found.needs("b") == {}
    with pytest.raises(UserError, match=r"dvc.yaml: c: meta.cores is 0; give 1 or more"):
        found.needs("c")


def laid(bundle: Bundle, place: Path) -> Path:
    with workplace._free_copy(bundle, place) as (folder, _):
        return folder


def test_a_copy_is_laid_once_and_anew_for_another_bundle(tmp_path, monkeypatch):
    project = Project(tmp_path / "project", a=0.0)
    one = bundle_of(project.folder, monkeypatch)
    folder = laid(one, tmp_path / "scratch")
    assert (folder / "raw").read_text() == "raw "
    (folder / "a.model").touch()
    before = (folder / "raw").stat().st_mtime_ns
    assert laid(one, tmp_path / "scratch") == folder
    assert (folder / "a.model").exists() and (folder / "raw").stat().st_mtime_ns == before
    (project.folder / "raw").write_text("war ")  # of the same size
    assert laid(bundle_of(project.folder, monkeypatch), tmp_path / "scratch") == folder
    assert not (folder / "a.model").exists()
    assert (folder / "raw").stat().st_mtime_ns > before  # or DVC would think it as it was


def test_a_copy_in_use_is_left_alone_also_when_its_worker_is_dead(tmp_path, monkeypatch):
    project = Project(tmp_path / "project", a=0.0)
    bundle = bundle_of(project.folder, monkeypatch)
    with workplace._free_copy(bundle, tmp_path) as (first, lock):
        assert laid(bundle, tmp_path) != first
        errand = subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1, pass_fds=[lock])
    assert laid(bundle, tmp_path) != first
    errand.communicate(b"\n")
    assert laid(bundle, tmp_path) == first


def test_a_mirror_gives_another_host_what_is_whole(tmp_path):
    from dvc.fs import localfs

    here, there, place = tmp_path / "here", tmp_path / "there", tmp_path / "remote/resume/train@a"
    here.mkdir()
    with Mirror(localfs, str(place), here) as mirror:
        (here / "state").write_text("step 3")
        (here / ".state.77").write_text("torn")
        mirror.keep()
        assert (place / "state").read_text() == "step 3"
        second = Mirror(localfs, str(place), there)
        second.__enter__()
        assert [path.name for path in there.iterdir()] == ["state"]
        assert (there / "state").read_text() == "step 3"
        second.__exit__(OSError, OSError(), None)
        assert list(place.iterdir())
    assert not list(place.iterdir())  # the work is published


def test_a_mirror_does_not_take_what_is_older_than_its_own(tmp_path):
    from dvc.fs import localfs

    (tmp_path / "remote").mkdir()
    (tmp_path / "remote/state").write_text("step 3")
    (tmp_path / "here").mkdir()
    (tmp_path / "here/state").write_text("step 5")
    with Mirror(localfs, str(tmp_path / "remote"), tmp_path / "here"):
        assert (tmp_path / "here/state").read_text() == "step 5"


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
    with pytest.raises(UserError, match=r"rounds otherwise than the others \(cpu: a and b\); use"):
        require_same("tls://two", here | {"numerics cpu": "a"}, here | {"numerics cpu": "b"})


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


@pytest.mark.parametrize(
    ("said", "expected"), [("", []), ("-1", []), ("0,3", ["0", "3"]), ("GPU-ab", ["GPU-ab"])]
)
def test_the_gpus_are_those_that_this_process_may_use(said, expected, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", said)
    assert visible_gpus() == expected


def test_scratch_of_another_user_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("MNIST_DIFFUSION_SCRATCH", str(tmp_path / "s"))
    assert workplace.scratch(Exchange()) == tmp_path / "s"
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o700
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(UserError, match="is another user's; set MNIST_DIFFUSION_SCRATCH"):
        workplace.scratch(Exchange())
