"""What several kinds of tests share, and how pytest-xdist shares the tests out."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from table import Table

from mnist_diffusion.runtime.instructions import limit_instructions

# Before numpy and torch are loaded: threads that wait for each other in a kernel cost ten times
# the time where other tests run beside these.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

limit_instructions("avx2")  # as stages do: before the first kernel of this process

TESTS = Path(__file__).parent
REPOSITORY = TESTS.parent
LONGEST_FIRST = (
    "pipeline",
    # Workers that are given tests one by one begin with two each: the first makes the repository
    # that most tests of faults read, while the second makes another clone.
    "faults/test_kills.py::test_two_at_once_on_one_stage",
    "faults/test_clean_clones.py",
    "faults/test_full_disk.py",
    "faults/test_tracking_faults.py",
    "faults",
    "unit/test_audit_tampering.py",
)
"""Or else one worker would begin them when the others are done."""
SHORTEST_LAST = "mutants"

BuildOnce = Callable[[str, Callable[[Path], object]], Path]


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # pytest-xdist's first process hears of all tests
        config.pluginmanager.register(Table(config), "table of faults")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    name = f"{item.path.relative_to(TESTS).as_posix()}::{item.name}"
    found = (turn for turn, place in enumerate(LONGEST_FIRST) if name.startswith(place))
    return next(found, len(LONGEST_FIRST) + name.startswith(SHORTEST_LAST))


@pytest.fixture(scope="session")
def build_once(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> BuildOnce:
    """Makes a folder of a name for all workers: one makes it, the others wait."""
    root = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):
        root = root.parent

    def build(name: str, make: Callable[[Path], object]) -> Path:
        folder, done = root / name, root / f"{name}.done"
        with FileLock(root / f"{name}.lock"):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    return build


@pytest.fixture(scope="session")
def raw_mnist() -> Path:
    """A folder with the four MNIST files, to read or to copy from: data/raw, or else a cache.

    The cache outlives the tests, which would otherwise fetch the files each time.
    """
    from mnist_diffusion.dataset import mnist
    from mnist_diffusion.dataset.mirrors import fetch

    raw, cache = REPOSITORY / "data/raw", REPOSITORY / ".work/mnist"
    if not mnist.missing(raw):
        return raw
    cache.parent.mkdir(exist_ok=True)
    with FileLock(f"{cache}.lock"):
        fetch(cache)
    return cache


@pytest.fixture(scope="session")
def empty_store(build_once: BuildOnce) -> Path:
    """A database with MLflow's tables, which take seconds to make, and nothing in them."""
    from mnist_diffusion.tracking import store

    store.configure()
    from mlflow.tracking import MlflowClient

    folder = build_once("store", lambda at: MlflowClient(f"sqlite:///{at}/mlflow.db"))
    return folder / "mlflow.db"


@pytest.fixture(scope="session")
def published(build_once: BuildOnce, request: pytest.FixtureRequest) -> Path:
    """A small repository with data, models, samples, metrics and a report; only to be read."""
    lent = REPOSITORY / ".work/published"  # in the tests of mutants
    if lent.exists():
        return lent.resolve()
    import audited

    raw, store = (request.getfixturevalue(name) for name in ("raw_mnist", "empty_store"))
    return build_once("published", lambda at: audited.build(at, raw, store))
