"""The command line, as a process: one line for a mistake, and never a traceback."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mnist_diffusion.cli import main
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import write_json
from mnist_diffusion.provenance.source import stage_code

REPOSITORY = Path(__file__).parents[2]
CELL = RUN = "long"


Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """Runs a command in this process, as one of its own would end: importing torch takes long."""

    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # as main sets it, but for a while

    def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["mnist-diffusion", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return subprocess.CompletedProcess(arguments, ended.value.code or 0, *capfd.readouterr())

    return run


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    return tmp_path


def assert_refused(result: subprocess.CompletedProcess[str], *words: str) -> None:
    assert result.returncode == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    for word in words:
        assert word in line


def test_a_stage_without_its_input_is_refused_in_one_line_of_a_process(project: Path) -> None:
    write_json(project / paths.code("sample"), stage_code("sample"))
    command = [sys.executable, "-m", "mnist_diffusion", "sample", CELL]
    result = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert_refused(result, f"models/{RUN}", "dvc repro")


def test_good_settings_pass_from_any_folder_below(project: Path, call: Call) -> None:
    below = project / "data"
    below.mkdir()
    assert call(below, "check").returncode == 0


def test_no_repository_is_refused(tmp_path: Path, call: Call) -> None:
    assert_refused(call(tmp_path, "check"), "params.yaml", "not found")


@pytest.mark.parametrize("name", ["no-such-run", "../x", "a;touch c", "$(touch c)"])
def test_unknown_names_are_refused(project: Path, name: str, call: Call) -> None:
    assert_refused(call(project, "train", name), repr(name), "known: ")
    assert [path.name for path in project.iterdir()] == ["params.yaml"]


def test_the_command_line_is_there_before_torch():
    """What computes imports it, and takes a second or more; a check of params.yaml needs none."""
    heavy = "{'torch', 'scipy', 'mlflow', 'dvc'}"
    begin = "import sys, mnist_diffusion.cli as c; c.every_command()"
    look = f"{begin}; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
