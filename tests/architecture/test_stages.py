"""A stage is declared in STAGES, in dvc.yaml and in its own file, and they agree."""

import ast
from pathlib import Path
from typing import Any

import pytest

from mnist_diffusion.files import paths
from mnist_diffusion.files.yamlfile import read_yaml
from mnist_diffusion.pipeline import STAGES
from mnist_diffusion.provenance.source import SOURCE_ROOT, stage_code

REPOSITORY = Path(__file__).parents[2]
DECLARED = {
    name: stage.get("do", stage) | {"foreach": stage.get("foreach")}
    for name, stage in read_yaml(REPOSITORY / "dvc.yaml")["stages"].items()
}
EACH = {
    None: None,
    "codec": "${codecs}",
    "run": "${runs}",
    "student": "${students}",
    "cell": "${cells}",
    "tstr": "${tstr.cells}",
    "fd_curve": "${fd_curve.runs}",
    "adherence": "${adherence.cells}",
    "seams": "${seams.cells}",
}
RESOLVE = "mnist_diffusion/settings/resolve.py"


def _paths(entries: list[Any]) -> list[str]:
    return [name for entry in entries for name in ([entry] if isinstance(entry, str) else entry)]


def test_the_same_stages_in_the_same_order() -> None:
    assert list(DECLARED) == list(STAGES)
    files = {path.stem for path in (REPOSITORY / "src/mnist_diffusion/stages").glob("*.py")}
    assert files - {"__init__", "runner"} == set(STAGES)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_its_one_code_file(name: str) -> None:
    deps = _paths(DECLARED[name]["deps"])
    code = [dep for dep in deps if dep.startswith((".code", "src"))]
    assert code == (["src/mnist_diffusion"] if name == "code" else [str(paths.code(name))])


def test_code_writes_a_file_for_each_stage() -> None:
    due = [str(paths.code(name)) for name in STAGES if name != "code"]
    assert _paths(DECLARED["code"]["outs"]) == due


@pytest.mark.parametrize("name", STAGES)
def test_a_command_is_the_stage_alone(name: str) -> None:
    """DVC's shell would run what a key says."""
    assert DECLARED[name]["cmd"] == f"mnist-diffusion {name}"
    assert DECLARED[name]["desc"]


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_is_for_each_run_or_cell_in_both(name: str) -> None:
    assert DECLARED[name]["foreach"] == EACH[STAGES[name].per]


@pytest.mark.parametrize("name", STAGES)
def test_what_a_stage_publishes_is_what_it_leaves(name: str) -> None:
    stage = STAGES[name]
    outs = [
        out.replace("${key}", "x").replace("${item}", "x") for out in _paths(DECLARED[name]["outs"])
    ]
    for place in (stage.folder, stage.report, stage.pictures):
        assert place is None or str(place("x")) in outs


def _resolves(file: Path) -> bool:
    """Whether a module asks the settings for a run or a cell, made whole."""
    calls = (n.func for n in ast.walk(ast.parse(file.read_bytes())) if isinstance(n, ast.Call))
    return any(
        isinstance(call, ast.Attribute)
        and call.attr in {"run", "student", "cell"}
        and isinstance(call.value, ast.Name)
        and call.value.id == "settings"
        for call in calls
    )


@pytest.mark.parametrize("name", STAGES)
def test_who_asks_for_a_run_or_cell_made_whole_depends_on_how_that_is_done(name: str) -> None:
    """A rule of precedence is code: Settings itself is not tracked, and this is behind it."""
    code = stage_code(name)
    modules = [SOURCE_ROOT / path for path in code if path.endswith(".py")]
    assert RESOLVE in code or not any(map(_resolves, modules))
