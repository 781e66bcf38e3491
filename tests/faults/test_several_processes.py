"""One training by several processes of a real torchrun: the very bits of one process."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_resume import digests, write_params

HERE = Path(__file__).parent
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node")
pytestmark = [pytest.mark.faults, pytest.mark.quick]


def call(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "MLFLOW_"))}
    return subprocess.run(
        words,
        cwd=folder,
        env=kept | {"OMP_NUM_THREADS": "1", "DVC_ROOT": str(folder)} | variables,
        capture_output=True,
        text=True,
        timeout=300,
    )


def processes(
    count: int, folder: Path, *words: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    return call(folder, *TORCHRUN, str(count), str(HERE / "ranked.py"), *words, **variables)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, raw_mnist: Path) -> Path:
    folder = tmp_path_factory.mktemp("ranks") / "prepared"
    (folder / "data").mkdir(parents=True)
    (folder / "data/raw").symlink_to(raw_mnist)
    write_params(folder)
    params = folder / "params.yaml"  # four parts: the order of two sums does not show
    params.write_text(params.read_text().replace("parts: 2", "parts: 4"))
    (folder / ".work").mkdir()
    (folder / ".work/synced").touch()  # MLflow is told nothing
    for stage in ("code", "prepare"):
        done = call(folder, sys.executable, "-m", "mnist_diffusion", stage)
        assert done.returncode == 0, done.stderr
    (folder / "data/raw").unlink()
    return folder


@pytest.fixture(scope="module")
def alone(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained by one process."""
    folder = Path(shutil.copytree(prepared, tmp_path_factory.mktemp("alone") / "repository"))
    done = call(folder, sys.executable, "-m", "mnist_diffusion", "train", "fast")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def folder(prepared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(prepared, tmp_path / "repository"))


def assert_same(folder: Path, alone: Path) -> None:
    """Weights, snapshots, history and manifest; one sidecar, and no state."""
    assert digests(folder / "models/fast") == digests(alone / "models/fast")
    assert digests(folder / "models/fast")
    assert len(list((folder / "reports/timings").rglob("*fast*"))) == 1
    assert not (folder / ".work/resume/train@fast").exists()


def test_two_processes_give_the_bits_of_one(folder: Path, alone: Path) -> None:
    done = processes(2, folder, "train", "fast")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("fast: 100%") == 1, done.stderr
    assert_same(folder, alone)


@pytest.mark.parametrize("killed", ["0", "1"])
def test_one_that_is_killed_ends_all_and_the_rest_goes_on(
    folder: Path, alone: Path, killed: str
) -> None:
    done = processes(2, folder, "train", "fast", KILLED=killed, AT="15")
    assert done.returncode not in (0, None)
    assert "Signal 9 (SIGKILL)" in done.stderr
    assert not (folder / "models/fast").exists()
    done = processes(2, folder, "train", "fast")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("resuming train@fast at step 1") == 1, done.stderr
    assert_same(folder, alone)


def test_what_cannot_be_shared_is_refused(folder: Path) -> None:
    for count, words, cause in (
        (3, ("train", "fast"), "error: parts: 4 of a batch cannot be shared out equally among 3"),
        (2, ("prepare",), "error: prepare: a stage for one process, not 2"),
    ):
        done = processes(count, folder, *words)
        assert done.returncode == 1, done.stderr
        assert cause in done.stderr
    assert not (folder / "models").exists() and not (folder / ".work/resume").exists()
