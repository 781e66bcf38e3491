"""Every stage of the real dvc.yaml, in a repository of its own, with next to nothing done in it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from audited import commit, write_params
from ruamel.yaml import YAML

REPOSITORY = Path(__file__).parents[2]
COPIED = (".dvc/config", ".dvcignore", ".gitignore", "data/.gitignore", "models/.gitignore")
BODY = '''
"""Writes a digest of what the stage reads into each of its outs."""
import hashlib, os, sys, time
from pathlib import Path

split = sys.argv.index("--")
reads, writes = sys.argv[1:split], sys.argv[split + 1:]
time.sleep(float(os.environ.get("STUB_SECONDS", 0)))
told = hashlib.sha256()
for name in reads:
    path = Path(name)
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file() and file.name != ".gitignore":
            told.update(file.as_posix().encode() + file.read_bytes())
for name in writes:
    path = Path(name)
    file = path if path.suffix or "ubyte" in path.name else path / "content"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{name} {told.hexdigest()}")
'''


def make(folder: Path, copies: int = 1, small: bool = False) -> None:
    """A git repository with the stages of dvc.yaml, each run and cell so many times over.

    Small, it has few runs and cells.
    """
    for name in COPIED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, folder / name)
    yaml = YAML(typ="safe")
    pipeline = yaml.load(REPOSITORY / "dvc.yaml")
    (folder / "dvc.yaml").write_text("")
    for stage in pipeline["stages"].values():
        body = stage.get("do", stage)
        reads = [str(name) for name in body["deps"]]
        writes = [name if isinstance(name, str) else next(iter(name)) for name in body["outs"]]
        body["cmd"] = " ".join([sys.executable, "stub.py", *reads, "--", *writes])
    YAML().dump({"stages": pipeline["stages"]}, folder / "dvc.yaml")
    if small:
        write_params(folder / "params.yaml")
    else:
        params = yaml.load(REPOSITORY / "params.yaml")
        YAML().dump(_multiplied(params, copies), folder / "params.yaml")
    (folder / "stub.py").write_text(BODY)
    (folder / "src/mnist_diffusion").mkdir(parents=True)
    (folder / "src/mnist_diffusion/source.txt").write_text("source")
    commit(folder, "as it is")


def _multiplied(params: dict[str, Any], copies: int) -> dict[str, Any]:
    runs, students, cells = (dict(params[name]) for name in ("runs", "students", "cells"))
    for number in range(1, copies):
        params["runs"] |= {f"{name}-{number}": run for name, run in runs.items()}
        params["students"] |= {
            f"{name}-{number}": student | {"teacher": f"{student['teacher']}-{number}"}
            for name, student in students.items()
        }
        params["cells"] |= {
            f"{name}-{number}": cell | {"run": f"{cell['run']}-{number}"}
            for name, cell in cells.items()
        }
    return params
