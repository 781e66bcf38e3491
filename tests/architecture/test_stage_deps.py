"""The code that a stage declares in dvc.yaml is the code that it imports.

DVC does not follow imports: with one too few a fix is not rerun, with one too many a typo retrains.
"""

import ast
from pathlib import Path
from typing import Any

import grimp
import pytest

from mnist_diffusion.files.yamlfile import read_yaml
from mnist_diffusion.provenance.imports import is_untracked

REPOSITORY = Path(__file__).parents[2]
SOURCE = Path("src/mnist_diffusion")


def _stages() -> dict[str, dict[str, Any]]:
    stages = read_yaml(REPOSITORY / "dvc.yaml")["stages"]
    return {name: stage.get("do", stage) for name, stage in stages.items()}


STAGES = _stages()


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("mnist_diffusion", exclude_type_checking_imports=True)


def _packages_of(module: str) -> set[str]:
    """The packages whose __init__ runs when a module is imported, less the root and stages."""
    parts = module.split(".")
    return {".".join(parts[:depth]) for depth in range(2, len(parts))} - {"mnist_diffusion.stages"}


def _closure(graph: grimp.ImportGraph, module: str) -> set[str]:
    found: set[str] = set()
    pending = {module}
    while pending:
        here = pending.pop()
        found.add(here)
        reached = graph.find_modules_directly_imported_by(here) | _packages_of(here)
        pending |= {m for m in reached - found if m != "mnist_diffusion" and not is_untracked(m)}
    return found


def _file_of(module: str) -> Path:
    path = SOURCE.parent / Path(*module.split("."))
    package = path / "__init__.py"
    return package if (REPOSITORY / package).exists() else path.with_suffix(".py")


def _is_bare(file: Path) -> bool:
    """A package's __init__ with a docstring and nothing to run."""
    return file.name == "__init__.py" and len(ast.parse((REPOSITORY / file).read_text()).body) <= 1


def _imported(graph: grimp.ImportGraph, stage: str) -> set[Path]:
    files = {_file_of(m) for m in _closure(graph, f"mnist_diffusion.stages.{stage}")}
    return {file for file in files if not _is_bare(file)}


def _code_deps(stage: dict[str, Any]) -> list[Path]:
    return [Path(dep) for dep in stage["deps"] if Path(dep).is_relative_to("src")]


@pytest.mark.parametrize("name", STAGES)
def test_every_import_is_declared(name: str, graph: grimp.ImportGraph) -> None:
    deps = _code_deps(STAGES[name])
    missing = {f for f in _imported(graph, name) if not any(f.is_relative_to(dep) for dep in deps)}
    assert not missing, f"dvc.yaml: stages.{name}.deps lacks {sorted(map(str, missing))}"


@pytest.mark.parametrize("name", STAGES)
def test_every_declaration_is_imported(name: str, graph: grimp.ImportGraph) -> None:
    """A folder is declared only where all that is in it is used."""
    deps = {REPOSITORY / dep for dep in _code_deps(STAGES[name])}
    files = {file for dep in deps for file in ([dep] if dep.is_file() else dep.rglob("*.py"))}
    declared = {file.relative_to(REPOSITORY) for file in files}
    idle = {f for f in declared - _imported(graph, name) if not _is_bare(f)}
    assert not idle, f"dvc.yaml: stages.{name}.deps has, for nothing, {sorted(map(str, idle))}"


@pytest.mark.parametrize("name", STAGES)
def test_a_command_is_the_stage_alone(name: str) -> None:
    """DVC's shell would run what a key says."""
    stage = STAGES[name]
    assert stage["cmd"] == f"mnist-diffusion {name}"
    assert stage["desc"]


def test_every_stage_module_is_a_stage() -> None:
    files = {path.stem for path in (REPOSITORY / SOURCE / "stages").glob("*.py")}
    assert files - {"__init__", "outcome", "runner"} == set(STAGES)
