"""The source of a stage, by what it means: syntax trees without comments, docstrings or layout.

What a stage is made of is read from its import statements, and nothing is executed. The stage
`code` writes the digests down, one file a stage, and DVC reruns a stage when its file changes.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.runtime.errors import UserError

PACKAGE = "mnist_diffusion"
SOURCE_ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds the package that runs."""
OWN_ROOT = Path("src")
"""The folder that holds the package of the repository, which is what DVC and git record."""

UNTRACKED = frozenset(
    {
        # what they hand over is tracked as params, deps and outs of the stage
        "pipeline",
        "settings",
        "files.paths",
        # they carry a result, and do not change it
        "files.atomic",
        "files.jsonfile",
        "files.yamlfile",
        "runtime.errors",
        "runtime.locks",
        "runtime.parent_watch",
        "runtime.progress_bar",
        "runtime.resumption",
        # they tell of a result
        "provenance.lineage",
        "provenance.schemas",
        "provenance.source",
    }
)
"""Modules of the package, and what is below them, that decide no result."""
TRACKED = frozenset({"settings.resolve", "settings.students"})
"""Exceptions: which of several settings wins, decides a result."""
CARRIED = frozenset(
    {
        *("networks.codecs", "networks.codec_files", "networks.latent_scale", "networks.encoders"),
        *("dataset.attributes", "dataset.captioned", "dataset.grammar", "dataset.levels"),
    }
)
"""What only runs in latent space or asked in words need. Their code comes to them with the latents
and the text encoder, whose manifests hold its digests: an edit of it reruns no other run."""
CARRIED_TO = frozenset({"train", "distill", "sample", "fd_curve", "trajectories"})
"""The stages that read it so."""


def stage_code(stage: str, root: Path = SOURCE_ROOT) -> dict[str, str]:
    """What decides a stage's result, by path from `root`: its modules and the data beside them.

    Modules by their syntax trees, empty ones left out; templates and the like by their bytes.
    ModuleNotFoundError if there is no such stage.
    """

    def left_out(module: str) -> bool:
        inside = module.partition(".")[2]
        untracked = any(f"{inside}.".startswith(f"{name}.") for name in UNTRACKED)
        carried = stage in CARRIED_TO and inside in CARRIED
        return carried or (untracked and inside not in TRACKED)

    files = source_files(f"{PACKAGE}.stages.{stage}", root, left_out)
    packages = {file.parent for file in files if file.name == "__init__.py"}
    files += [file for package in packages for file in _data_files(package)]
    digests = source_digests(files, root)
    return {path: digest for path, digest in sorted(digests.items()) if digest != _EMPTY}


def source_digests(files: Iterable[Path], root: Path = SOURCE_ROOT) -> dict[str, str]:
    """The digest of each source file, by its path from `root`."""
    return {
        file.relative_to(root).as_posix(): source_digest(file.name, file.read_bytes())
        for file in files
    }


@cache
def source_digest(name: str, content: bytes) -> str:
    """SHA-256 of what a source file says: of its syntax tree if it is Python, of its bytes if not.

    The tree is written out here and not by `ast.dump`, whose text differs between versions of
    Python: a field that is empty counts as one that is not there. SyntaxError if it is no Python.
    """
    text = _text_of(_tree(content)).encode() if name.endswith(".py") else content
    return hashlib.sha256(text).hexdigest()


def require_own_source() -> None:
    """UserError if the package that runs is not, file by file, that of the current folder.

    Content is compared and not places, so that a copy of the repository, as DVC makes for an
    experiment, may run the source that it is a copy of. Without src/ nothing is recorded.
    """
    own, running = OWN_ROOT / PACKAGE, SOURCE_ROOT / PACKAGE
    if not own.is_dir() or own.samefile(running):
        return
    here, there = _contents(own), _contents(running)
    other = sorted(name for name in {*here, *there} if here.get(name) != there.get(name))
    if other:
        raise UserError(
            f"src: the source that runs is {running}, and {other[0]} differs from this folder's; "
            "activate this folder's .venv, or set PYTHONPATH=src"
        )


def require_recorded(stage: str) -> None:
    """UserError if the source of a stage is not what DVC records for it in its one code file."""
    path = paths.code(stage)
    if stage == "code":  # which writes that down
        return
    if read_json(path) != stage_code(stage):
        raise UserError(f"{path}: not of the source that is here; run `dvc repro code`")


def source_files(
    module: str, root: Path = SOURCE_ROOT, left_out: Callable[[str], bool] = lambda _: False
) -> list[Path]:
    """The files of `module` and of all it imports from its own package, directly or not, sorted.

    Imports inside functions count. `root` is the folder that holds the package; what is `left_out`
    is not followed. ModuleNotFoundError if `module` is not there.
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
        waiting += [n for n in _imported(name, file, root) if _top(n) == _top(module)]
    return sorted(found.values())


def _imported(module: str, file: Path, root: Path) -> Iterator[str]:
    """Every name that could be a module this file imports, and the packages that hold it."""
    yield from _with_parents(module)
    for base, name in _statements(file.read_bytes(), _package_of(module, file)):
        yield from _with_parents(f"{base}.{name}" if base else name)
        home = _file_of(base, root)
        if home and home.name == "__init__.py" and _file_of(f"{base}.{name}", root) is None:
            # a package hands on what a module of it defines: that module is meant
            handed = _statements(home.read_bytes(), base)
            yield from (origin for origin, alias in handed if alias == name)


@cache
def _tree(content: bytes) -> ast.Module:
    """Parsed once a process: a stage asks when it starts and again when it ends."""
    return ast.parse(content)


@cache
def _statements(content: bytes, package: str) -> tuple[tuple[str, str], ...]:
    """(module, name) of each import; ("", module) where a module itself is imported."""
    found: list[tuple[str, str]] = []
    for node in ast.walk(_tree(content)):
        if isinstance(node, ast.Import):
            found += [("", alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [(_base(node, package), alias.name) for alias in node.names]
    return tuple(found)


def _base(node: ast.ImportFrom, package: str) -> str:
    """The module that a `from … import` names, with leading dots resolved."""
    if not node.level:
        return node.module or ""
    above = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*above, node.module] if node.module else above)


def _package_of(module: str, file: Path) -> str:
    return module if file.name == "__init__.py" else module.rpartition(".")[0]


def _with_parents(name: str) -> Iterator[str]:
    """Importing a.b.c runs a/__init__.py and a/b/__init__.py too."""
    parts = name.split(".")
    yield from (".".join(parts[:length]) for length in range(1, len(parts) + 1))


def _file_of(module: str, root: Path) -> Path | None:
    """None for a name that is no module of ours, such as a function that a module defines."""
    path = root.joinpath(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in candidates if module and file.is_file()), None)


def _top(module: str) -> str:
    return module.partition(".")[0]


def _text_of(value: object) -> str:
    """A tree as text: the type of each node, and its fields that hold something, by name."""
    if isinstance(value, ast.JoinedStr):  # some versions of Python end formats with an empty text
        parts = (_text_of(part) for part in value.values if not _is_empty_text(part))
        return f"JoinedStr({', '.join(parts)})"
    if isinstance(value, ast.AST):
        fields = ((name, here) for name, here in ast.iter_fields(value) if not _is_void(here))
        inside = ", ".join(f"{name}={_text_of(here)}" for name, here in fields)
        return f"{type(value).__name__}({inside})"
    if isinstance(value, list):
        return f"[{', '.join(_text_of(item) for item in value if not _is_docstring(item))}]"
    return repr(value)


def _is_void(value: object) -> bool:
    return value is None or value == []


def _is_docstring(item: object) -> bool:
    """Of a module, class, function or field: a text that nothing is done with."""
    return (
        isinstance(item, ast.Expr)
        and isinstance(item.value, ast.Constant)
        and isinstance(item.value.value, str)
    )


def _is_empty_text(part: ast.expr) -> bool:
    return isinstance(part, ast.Constant) and part.value == ""


_EMPTY = source_digest("__init__.py", b'"""A package that only holds modules."""')


def _data_files(package: Path) -> Iterator[Path]:
    """What a package has besides modules, its folders without modules included."""
    for path in sorted(package.iterdir()):
        if path.is_dir() and path.name != "__pycache__" and not (path / "__init__.py").exists():
            yield from (file for file in path.rglob("*") if file.is_file())
        elif path.is_file() and path.suffix != ".py":
            yield path


def _contents(package: Path) -> dict[str, bytes]:
    """All files of a package by path, but what Python compiles and what editors leave."""
    return {
        path.relative_to(package).as_posix(): path.read_bytes()
        for path in package.rglob("*")
        if not {*path.parts} & {"__pycache__"} and path.name[0] != "." and path.name[-1] != "~"
        if path.is_file()
    }
