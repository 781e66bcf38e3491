"""What went in is what is there at the end, or nothing is published."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.provenance.digests import array_digest, json_digest
from mnist_diffusion.provenance.lineage import publish_folder, snapshot_inputs
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import load_settings

REPOSITORY = Path(__file__).parents[2]
RAW, PREPARED, WEIGHTS = Path("data/raw/digits.npy"), Path("data/prepared"), Path("models/judge")
MODULE = "mnist_diffusion.stages.{}"
SOURCE = """
import sys
from pathlib import Path
from mnist_diffusion.settings import load_settings
from mnist_diffusion.provenance.lineage import publish_folder
from mnist_diffusion.provenance.lineage import snapshot_inputs
inputs = snapshot_inputs("mnist_diffusion.stages.prepare", None, load_settings(), lambda _: {}, [])
edited = Path("src/mnist_diffusion", sys.argv[1])
edited.write_text(edited.read_text() + "EDITED = 1")
publish_folder(Path("data/prepared"), inputs)
"""


def prepared(settings):
    return settings.prepare.model_dump()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A repository with params.yaml, something raw, and an empty folder to publish."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    for path in (RAW.parent, PREPARED, WEIGHTS):
        path.mkdir(parents=True)
    np.save(RAW, np.arange(3))
    np.save(PREPARED / "train.npy", np.arange(4))
    np.save(WEIGHTS / "weights.npy", np.arange(5))
    return tmp_path


def snapshot(stage="prepare", files=(RAW,)):
    return snapshot_inputs(MODULE.format(stage), None, load_settings(), prepared, list(files))


def edit_params(section, key, value):
    yaml = YAML()
    params = yaml.load(Path("params.yaml"))
    params[section][key] = value
    yaml.dump(params, Path("params.yaml"))


def test_what_is_as_it_was_is_published(folder):
    publish_folder(PREPARED, snapshot())
    manifest = read_json(PREPARED / "manifest.json")
    assert manifest["made_from"] == {RAW.as_posix(): array_digest(np.arange(3))}
    assert manifest["files"] == {f"{PREPARED}/train.npy": array_digest(np.arange(4))}
    assert "mnist_diffusion/stages/prepare.py" in manifest["code"]["files"]


def test_a_link_names_the_manifest_behind_it(folder):
    publish_folder(PREPARED, snapshot())
    assert snapshot("classifier", [PREPARED]).made_from == {
        "prepare": json_digest(read_json(PREPARED / "manifest.json"))
    }


def change_input():
    np.save(RAW, np.arange(3) + 1)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (change_input, f"{RAW}: changed while the stage ran; run `dvc repro` again"),
        (RAW.unlink, f"{RAW}: not found"),
        (lambda: RAW.write_bytes(RAW.read_bytes()[:-1]), f"{RAW}: unreadable"),
        (lambda: edit_params("prepare", "seed", 7), "params.yaml: seed: changed while the stage"),
        (lambda: edit_params("prepare", "sead", 7), "params.yaml: prepare.sead: unknown key"),
    ],
)
def test_a_change_while_the_stage_runs_is_refused(folder, change, named):
    before = snapshot()
    change()
    with pytest.raises(UserError) as refusal:
        publish_folder(PREPARED, before)
    assert str(refusal.value).startswith(named)
    assert len(str(refusal.value).splitlines()) == 1
    assert not (PREPARED / "manifest.json").exists()


def test_a_file_behind_a_manifest_may_not_change_either(folder):
    publish_folder(PREPARED, snapshot())
    before = snapshot("classifier", [PREPARED])
    np.save(PREPARED / "train.npy", np.arange(4) + 1)
    with pytest.raises(UserError, match=r"train\.npy: changed while the stage ran"):
        publish_folder(WEIGHTS, before)
    assert not (WEIGHTS / "manifest.json").exists()


def test_an_input_that_is_not_what_its_manifest_says_is_not_taken(folder):
    publish_folder(PREPARED, snapshot())
    np.save(PREPARED / "train.npy", np.arange(4) + 1)
    with pytest.raises(UserError, match=r"train\.npy: not what data/prepared/manifest\.json says"):
        snapshot("classifier", [PREPARED])


def test_what_is_no_parameter_of_the_stage_may_change(folder):
    before = snapshot()
    edit_params("classifier", "seed", 7)
    publish_folder(PREPARED, before)
    assert (PREPARED / "manifest.json").is_file()


@pytest.mark.parametrize(
    ("edited", "refused"), [("dataset/splits.py", True), ("training/optim.py", False)]
)
def test_source_that_is_edited_while_the_stage_runs(folder, edited, refused):
    """In a process of its own, with a package of its own to edit."""
    shutil.copytree(REPOSITORY / "src", "src", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "-c", SOURCE, edited],
        env={**os.environ, "PYTHONPATH": "src"},
        capture_output=True,
        text=True,
    )
    assert (PREPARED / "manifest.json").exists() is not refused
    last = (done.stderr.splitlines() or [""])[-1]
    path = f"src/mnist_diffusion/{edited}"
    assert last.endswith(f"{path}: changed while the stage ran; run `dvc repro` again") is refused


@pytest.mark.parametrize("what", ["files", "parameters", "code", "environment"])
def test_resumed_work_is_of_the_same_inputs(folder, what, monkeypatch):
    key = snapshot().key
    assert snapshot().key == key
    if what == "files":
        change_input()
    elif what == "parameters":
        edit_params("prepare", "seed", 7)
    elif what == "environment":
        monkeypatch.setattr("numpy.__version__", "0.0")
    assert snapshot("fetch" if what == "code" else "prepare").key != key
