"""What git puts into a fresh clone."""

import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


def git(*words: str, folder: Path = REPOSITORY) -> str:
    return subprocess.run(
        ["git", *words], cwd=folder, check=True, capture_output=True, text=True
    ).stdout


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in git("ls-files", folder=folder).split()}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain") / "clone"
    git("clone", "--quiet", "-c", "core.autocrlf=false", str(REPOSITORY), str(folder))
    return folder


def test_a_clone_for_windows_has_the_same_bytes(plain: Path, tmp_path: Path) -> None:
    """Or else everything is out of date there, and an audit finds other source."""
    other = tmp_path / "clone"
    git("clone", "--quiet", "-c", "core.autocrlf=true", str(REPOSITORY), str(other))
    here, there = contents(plain), contents(other)
    assert here.keys() == there.keys()
    assert [name for name in here if here[name] != there[name]] == []


@pytest.mark.parametrize("name", ["data", "models"])
def test_the_folders_of_dvc_are_there_and_what_dvc_puts_there_is_ignored(
    plain: Path, name: str
) -> None:
    assert sorted(path.name for path in (plain / name).iterdir()) == [".gitignore", "README.md"]
    assert len((plain / name / "README.md").read_text(encoding="utf-8").splitlines()) == 2
    (plain / name / "made").mkdir()
    (plain / name / "made/by.dvc").touch()
    assert git("status", "--porcelain", folder=plain) == ""
