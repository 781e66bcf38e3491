"""Folders that may not be written to: one line, and once they may, the same digests"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from clones import Clone

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(
        os.geteuid() == 0 and not shutil.which("setpriv"), reason="root may write anything"
    ),
]
CELL = "cosine-class-g2"
KEEPS_TO_PERMISSIONS = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
STAGES = {
    "data/prepared": "prepare",
    "models": "train source-uncond",
    "data/samples": f"sample {CELL}",
    "reports": f"evaluate {CELL}",
    ".work": f"sample {CELL}",
}


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """The folder and all below it, of which the files stay as they are."""
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for path in folders:
        path.chmod(0o555)
    try:
        yield
    finally:
        for path in folders:
            path.chmod(0o755)


@pytest.fixture
def repository(ran: Clone, tmp_path: Path) -> Clone:
    return ran.copy(tmp_path / "repository")


def without_rights(*command: str) -> tuple[str, ...]:
    return (*KEEPS_TO_PERMISSIONS, *command) if os.geteuid() == 0 else command


@pytest.mark.parametrize("place", STAGES)
def test_a_folder_of_outputs(place: str, repository: Clone, ran: Clone) -> None:
    words = ("mnist-diffusion", *STAGES[place].split())
    with read_only(repository.folder / place):
        done = repository.call(*without_rights(*words))
    assert done.returncode == 1 and "Traceback" not in done.stdout, done.stdout
    assert done.stdout.splitlines()[-1].startswith("error: ")
    repository.run(*words)
    assert repository.contents() == ran.contents()


@pytest.mark.parametrize("place", [".dvc/cache", ".dvc/tmp"])
def test_a_folder_of_dvc(place: str, repository: Clone, ran: Clone) -> None:
    """A new judgement is made, and DVC can not keep it, or not start."""
    target = f"evaluate@{CELL}"
    (repository.folder / f"reports/metrics/{CELL}.json").unlink()
    with read_only(repository.folder / place):
        done = repository.call(*without_rights("dvc", "repro", "--force", "-s", target))
    assert "Traceback" not in done.stdout
    repository.run("dvc", "repro", target)
    assert repository.contents() == ran.contents()
