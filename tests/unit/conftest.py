"""A repository for MLflow's store and the spool, far from the real one."""

import shutil
import sys
from pathlib import Path

import audited
import pytest
import torch
from tamperings import copy_of

from mnist_diffusion.runtime import threads as runtime_threads


@pytest.fixture(autouse=True)
def torch_as_it_was():
    """What a test sets for its process, as `compute.configure` does, ends with it.

    Kernels have one thread, as in stages: a second one costs ten times the time on a busy machine.
    """
    torch.set_num_threads(1)
    deterministic = torch.are_deterministic_algorithms_enabled()
    yield
    runtime_threads._pool.cache_clear()  # or its threads may take the number that is set here
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(deterministic)
    torch.set_flush_denormal(False)


@pytest.fixture
def fresh_repository(tmp_path, monkeypatch):
    """An empty folder, with a space in its name, as the repository."""
    folder = tmp_path / "a clone"
    folder.mkdir()
    monkeypatch.setenv("DVC_ROOT", str(folder))
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "DVC_EXP_NAME"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def repository(fresh_repository, empty_store):
    """The same, with an empty store."""
    shutil.copy(empty_store, fresh_repository)
    return fresh_repository


@pytest.fixture
def here(published, monkeypatch):
    """It, as the current folder; only to be read."""
    monkeypatch.chdir(published)
    return published


@pytest.fixture(scope="session")
def reported(build_once):
    """Made-up files of all that a report of `fake_results.small_settings()` reads; only to read."""
    import fake_results

    return build_once("reported", lambda at: fake_results.build(at, fake_results.small_settings()))


@pytest.fixture(scope="session")
def results(reported):
    """What the report reads of them; not to be changed."""
    import fake_results

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(reported)
        return fake_results.load_results(fake_results.small_settings())


@pytest.fixture
def reported_copy(reported, tmp_path, monkeypatch):
    """A copy of them to change, as the current folder."""
    monkeypatch.chdir(shutil.copytree(reported, tmp_path / "reported"))


@pytest.fixture
def in_tmp_path(tmp_path, monkeypatch):
    """An empty folder as the current one."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def published_copy(published, tmp_path, monkeypatch):
    """A copy of it to tamper with, as the current folder."""
    return _entered(copy_of(published, tmp_path / "repository"), monkeypatch)


def _entered(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DVC_ROOT", str(folder))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return folder


@pytest.fixture(scope="session")
def signed(published, build_once):
    """The small repository, audited and signed by alice, beside a file that names her."""

    def make(folder):
        copy_of(published, folder / "repository")
        for name in ("alice", "mallory"):
            audited._run(folder, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", name)
        public = (folder / "alice.pub").read_text()
        (folder / "signers").write_text(f"# who may sign\n\nalice@example.org {public}")
        command = (sys.executable, "-m", "mnist_diffusion", "sign", "../alice")
        told = audited._run(folder / "repository", *command)
        assert told.splitlines()[-1] == "reports/signature.json: signed"

    return build_once("signed", make)


@pytest.fixture
def signed_copy(signed, tmp_path, monkeypatch):
    """A copy of it to tamper with, as the current folder, beside the keys."""
    for key in filter(Path.is_file, signed.iterdir()):
        shutil.copy(key, tmp_path)
    return _entered(copy_of(signed / "repository", tmp_path / "repository"), monkeypatch)


@pytest.fixture(scope="session")
def out(published, build_once):
    """What `mnist-diffusion export` makes of it; only to be read."""
    import exported  # here, since what others read with takes a second to import

    return build_once("exported", lambda at: exported.build(at, published)) / "out"
