"""Which source files of this package a module needs, read from its import statements."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

from mnist_diffusion.provenance.digests import SOURCE_ROOT

UNTRACKED = frozenset(
    {
        # what they hand over is tracked as params, deps and outs of the stage
        "settings",
        "files.paths",
        # they carry a result, and do not change it
        "runtime.errors",
        "files.jsonfile",
        "files.yamlfile",
        "runtime.progress_bar",
        "runtime.resumption",
        "runtime.locks",
        "runtime.parent_watch",
        "stages.outcome",
        # they tell of a result
        "provenance.folders",
        "provenance.imports",
        "provenance.manifest",
        "provenance.origin",
    }
)
"""Modules of the package, and what is below them, that DVC need not track and digests leave out."""


def is_untracked(module: str) -> bool:
    """Whether a module, by its full name, is among those that do not decide a result."""
    inside = module.partition(".")[2]
    return any(f"{inside}.".startswith(f"{name}.") for name in UNTRACKED)


def tracked_files(module: str, root: Path = SOURCE_ROOT) -> list[Path]:
    """Like `source_files`, without what is untracked and what only that imports."""
    return source_files(module, root, is_untracked)


def source_files(
    module: str, root: Path = SOURCE_ROOT, left_out: Callable[[str], bool] = lambda _: False
) -> list[Path]:
    """The files of `module` and of all it imports from its own package, directly or not, sorted.

    Static: nothing is executed; imports inside functions count. `root` is the folder that holds the
    package; what is `left_out` is not followed. ModuleNotFoundError if `module` is not there.
    """
    if _file_of(module, root) is None:
        raise ModuleNotFoundError(f"no module {module!r} under {root}")
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        file = _file_of(name, root)
        if file is None or name in found or left_out(name):
            continue
        found[name] = file
        waiting += [n for n in _imported(name, file) if _top(n) == _top(module)]
    return sorted(found.values())


def _imported(module: str, file: Path) -> Iterator[str]:
    """Every name that could be a module this file imports, and the packages that hold it."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    yield from _with_parents(module)
    for node in ast.walk(ast.parse(file.read_bytes(), str(file))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, package)
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            yield from _with_parents(name)


def _base(node: ast.ImportFrom, package: str) -> str:
    """The module that a `from … import` names, with leading dots resolved."""
    if not node.level:
        return node.module or ""
    above = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*above, node.module] if node.module else above)


def _with_parents(name: str) -> Iterator[str]:
    """Importing a.b.c runs a/__init__.py and a/b/__init__.py too."""
    parts = name.split(".")
    yield from (".".join(parts[:length]) for length in range(1, len(parts) + 1))


def _file_of(module: str, root: Path) -> Path | None:
    """None for a name that is no module of ours, such as a function that a module defines."""
    path = root.joinpath(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)


def _top(module: str) -> str:
    return module.partition(".")[0]
