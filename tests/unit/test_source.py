"""What counts as a stage's source, by what it means, and which source runs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json, write_json
from mnist_diffusion.pipeline import STAGES
from mnist_diffusion.provenance import source
from mnist_diffusion.runtime.errors import UserError

REPOSITORY = Path(__file__).parents[2]
EVERY_SYNTAX = """
from __future__ import annotations
import a.b as c
@decorated(1, *x, **y)
async def f[T](a: int = -1, /, *b, c=None, **d) -> dict[str, T]:
    global g
    async with u() as v, w:
        return {**a, "k": [i async for i in j if i], 0x10: 1e-4}
class C(B, metaclass=M):
    x: float = 1_000.5
    def m(self):
        try:
            yield (n := f"{a!r:>{width}} {b=} {c:.3f}")
        except* (E, F) as e:
            raise G from e
        finally:
            del h[1:2, ...], k.l
match p:
    case {"q": [1, *r], **s} | C(x=None): lambda *t: not t
assert u"v" b"w", "'x\\n'"
while True: break
""".replace("f[T]", "f").replace(' b"w"', "")
GOLDEN_SYNTAX = "f54cc8ec84edb5342fc3ca85574458187592152b766791a9ceb48be5fd97d92d"
"""The same on every version of Python, or all is made anew on another."""


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def syntax(text):
    return source.source_digest("a.py", text.encode())


def test_a_golden_digest():
    assert syntax(EVERY_SYNTAX) == GOLDEN_SYNTAX


PLAIN = "import a\n\n\ndef f(x):\n    return x + 1\n\n\nclass C:\n    y: int\n"


@pytest.mark.parametrize(
    "same",
    [
        '"""A module."""\n' + PLAIN,
        PLAIN.replace("return", '"""A function."""\n    return'),
        PLAIN.replace("    y: int", '    """A class."""\n\n    y: int\n    """A field."""'),
        "# a comment\n" + PLAIN.replace("+ 1", "+ 1  # one more"),
        PLAIN.replace("x + 1", "(\n        x + 1\n    )").replace("\n\n\n", "\n"),
    ],
)
def test_what_says_nothing_to_the_machine_does_not_count(same):
    assert same != PLAIN
    assert syntax(same) == syntax(PLAIN)


@pytest.mark.parametrize(
    ("old", "new"),
    [("1", "2"), ("+", "-"), ("f(x)", "f(x=None)"), ("int", "str"), ("import a", "import a as b")],
)
def test_what_says_something_counts(old, new):
    assert syntax(PLAIN.replace(old, new)) != syntax(PLAIN)


def test_a_text_in_a_list_counts():
    assert syntax("x = ['', 'a']") != syntax("x = ['a']")


def test_imports_of_every_form_are_followed(tmp_path):
    files = {
        "p/__init__.py": "",
        "p/start.py": "import numpy, p.plain\nfrom p.deep import module\nfrom p import name\n",
        "p/plain.py": "def f():\n    from . import lazy\n",
        "p/lazy.py": "from .deep.second import thing\nimport p.start\n",
        "p/name.py": "",
        "p/deep/__init__.py": "from p.exported import x\n",
        "p/deep/module.py": "from ..above import y\n",
        "p/deep/second.py": "",
        "p/exported.py": "",
        "p/above.py": "",
        "p/stranger.py": "",
    }
    found = source.source_files("p.start", write(tmp_path, files))
    names = {file.relative_to(tmp_path).as_posix() for file in found}
    assert names == set(files) - {"p/stranger.py"}
    with pytest.raises(ModuleNotFoundError):
        source.source_files("p.gone", tmp_path)


def test_what_a_package_hands_on_is_followed_to_where_it_is(tmp_path):
    files = {
        "p/__init__.py": "",
        "p/start.py": "from p.hub import rule\n",
        "p/hub/__init__.py": "from p.hub.decides import rule\nfrom p.hub.says import word\n",
        "p/hub/decides.py": "",
        "p/hub/says.py": "",
    }
    found = source.source_files("p.start", write(tmp_path, files), lambda name: name == "p.hub")
    assert [file.name for file in found] == ["__init__.py", "decides.py", "start.py"]


LIST_LOADED = """
import importlib, sys
importlib.import_module(sys.argv[1])
print(*(m.__file__ for n, m in sys.modules.items() if n.split(".")[0] == "mnist_diffusion"))
"""


LATE = ["numerics.py"]
"""Reached, but imported where something is computed alone: it brings torch."""


@pytest.mark.parametrize("module", ["provenance.source", "settings", "tracking.ui"])
def test_source_files_are_what_an_import_loads(module):
    module = f"mnist_diffusion.{module}"
    command = [sys.executable, "-c", LIST_LOADED, module]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    files = [file for file in source.source_files(module) if file.name not in LATE]
    assert sorted(map(Path, loaded)) == files


def test_a_stage_is_its_modules_and_the_data_beside_them():
    report = source.stage_code("report")
    assert "mnist_diffusion/stages/report.py" in report
    assert "mnist_diffusion/reporting/templates/index.html.j2" in report
    assert not any("source.py" in name or "settings/messages" in name for name in report)
    sample = source.stage_code("sample")
    assert "mnist_diffusion/diffusion/guidance.py" in sample
    assert "mnist_diffusion/diffusion/timesteps.py" not in sample
    assert not any("reporting" in name or name.endswith("sampling/__init__.py") for name in sample)


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A repository with a copy of the source that runs."""
    copied = tmp_path / "src/mnist_diffusion"
    shutil.copytree(source.SOURCE_ROOT / "mnist_diffusion", copied)
    monkeypatch.chdir(tmp_path)
    return copied


def test_a_copy_of_the_source_may_run(own):
    (own / "__pycache__").mkdir(exist_ok=True)
    (own / "__pycache__/x.pyc").write_bytes(b"compiled")
    (own / "diffusion/.ddim.py.swp").touch()
    source.require_own_source()


@pytest.mark.parametrize("what", ["edited", "added", "removed", "a template"])
def test_other_source_than_the_folders_own_may_not(what, own):
    file = own / "diffusion/samplers/ddim.py"
    if what == "edited":
        file.write_text(file.read_text().replace("1", "2", 1))
    elif what == "added":
        file = own / "diffusion/new.py"
        file.touch()
    elif what == "removed":
        file.unlink()
    else:
        file = own / "reporting/templates/style.css"
        file.write_text(file.read_text() + "\n")
    with pytest.raises(UserError) as refused:
        source.require_own_source()
    name = file.relative_to(own).as_posix()
    assert f"{name} differs from this folder's; activate" in str(refused.value)
    assert str(refused.value).startswith(f"src: the source that runs is {source.SOURCE_ROOT}")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("command", [["check"], ["audit"], ["train", "cosine-class"], ["repro"]])
def test_every_command_refuses_other_source(command, own):
    shutil.copy(REPOSITORY / "params.yaml", own.parents[1])
    (own / "new.py").touch()
    done = subprocess.run(
        [sys.executable, "-m", "mnist_diffusion", *command],
        env={**os.environ, "PYTHONPATH": str(source.SOURCE_ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: src: ") and len(done.stderr.splitlines()) == 1


def test_a_stage_of_other_source_than_recorded_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^\.code/train\.json: not found; run `dvc repro` first"):
        source.require_recorded("train")
    write_json(paths.code("train"), source.stage_code("train"))
    source.require_recorded("train")
    other = dict.fromkeys(read_json(paths.code("train")), "0" * 64)
    write_json(paths.code("train"), other)
    with pytest.raises(UserError, match=r"^\.code/train\.json: not of the source that is here; "):
        source.require_recorded("train")


def test_every_module_that_is_left_out_is_there():
    for name in source.UNTRACKED | source.TRACKED:
        path = source.SOURCE_ROOT / source.PACKAGE / Path(*name.split("."))
        assert path.is_dir() or path.with_suffix(".py").is_file(), name


def test_every_stage_has_source():
    for stage in STAGES:
        assert f"mnist_diffusion/stages/{stage}.py" in source.stage_code(stage)


@pytest.mark.parametrize("module", sorted(source.CARRIED))
def test_what_is_carried_is_digested_by_who_makes_what_carries_it(module):
    """An edit makes latents or text encoder anew, and with them the runs that have them."""
    path = f"{source.PACKAGE}/{module.replace('.', '/')}.py"
    makers = [stage for stage in ("latents", "clip") if path in source.stage_code(stage)]
    assert makers
    assert not any(path in source.stage_code(stage) for stage in source.CARRIED_TO)
