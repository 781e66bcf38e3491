"""The RO-Crate, by the tools of those who read it: rocrate-validator and rocrate."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import exported
import pytest
from rocrate.rocrate import ROCrate
from rocrate_validator import services
from tamperings import edit_yaml, put, set_key

from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.formats.export import export
from mnist_diffusion.provenance.digests import file_digest
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import load_settings

NO_ADDRESS = {"process-run-crate-0.5_3.2", "process-run-crate-0.5_5.1", "ro-crate-1.1_31.2"}
"""Who wrote this, and each stage, should have a place on the web; we know of none."""


@pytest.fixture
def crate(out):
    return ROCrate(out / "crate")


def findings(folder, tmp_path):
    """The ids of the checks of the profile that fail, those that are but recommended too."""
    checked = services.validate(
        {
            "rocrate_uri": str(folder),
            "profile_identifier": "provenance-run-crate",
            "requirement_severity": "RECOMMENDED",
            "cache_path": exported.offline_cache(tmp_path / "contexts"),
            "offline": True,
        }
    )
    assert checked.context.settings.offline
    return {issue.check.identifier for issue in checked.get_issues()}


def test_the_reference_validator_finds_nothing_but_the_addresses_that_we_lack(out, tmp_path):
    assert findings(out / "crate", tmp_path) <= NO_ADDRESS


def test_the_validator_sees_a_file_that_is_not_there_and_an_action_without_a_tool(out, tmp_path):
    folder = tmp_path / "crate"
    shutil.copytree(out / "crate", folder)
    (folder / "reports/trtr.json").unlink()
    metadata = folder / "ro-crate-metadata.json"
    content = json.loads(metadata.read_text())
    [action] = [one for one in content["@graph"] if one["@id"] == "#prepare"]
    del action["instrument"]
    metadata.write_text(json.dumps(content))
    assert len(findings(folder, tmp_path) - NO_ADDRESS) >= 2


def test_a_stranger_reads_what_made_each_sample_set(here, crate):
    """As our manifests have it, which the crate is not made from."""
    settings = load_settings()
    for cell in settings.cells:
        manifest = read_json(here / f"data/samples/{cell}/manifest.json")
        [action] = [
            one
            for one in crate.get_by_type("CreateAction")
            if any(made.id == f"data/samples/{cell}/" for made in _list(one["result"]))
            and one.id != "#dvc-repro"
        ]
        read = {one.id for one in action["object"]}
        assert f"models/{manifest['parameters']['cell']['run']}/" in read
        values = {one["name"]: one["value"] for one in action["object"] if "value" in one}
        assert float(values[f"cells.{cell}.steps"]) == manifest["parameters"]["cell"]["steps"]
        assert int(values["sample.seed"]) == manifest["parameters"]["sample"]["seed"]
        around = {one["name"]: one["value"] for one in action["environment"]}
        assert around == manifest["environment"]
        timing = read_json(here / f"reports/timings/sample@{cell}.json")
        assert action["endTime"] == timing["finished"] >= action["startTime"]


def test_all_that_the_pipeline_made_is_in_it_to_the_byte(here, out):
    for folder in ("data", "models", "reports/metrics", "reports/tables"):
        for path in (here / folder).rglob("*"):
            if path.is_file() and path.name != ".gitignore":
                there = out / "crate" / path.relative_to(here)
                assert there.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("spoil", "refused"),
    [
        (lambda at: (at / "dvc.lock").unlink(), "dvc.lock: not found; run `dvc repro` first"),
        (
            lambda at: shutil.rmtree(at / "data/samples/grid"),
            "data/samples/grid: not there; `git restore`, `dvc pull` or `dvc repro` it",
        ),
        (lambda at: (at / "LICENSE").unlink(), "LICENSE: not there; `git restore`"),
        (
            lambda at: put(at / "models/cosine-class/history.csv", b"step,loss\n"),
            "models/cosine-class: not what dvc.lock recorded; run `dvc repro`",
        ),
        (
            lambda at: put(at / "dvc.lock", b"schema: '2.0'\nstages: [1"),
            "dvc.lock: not whole; `git restore` it, or `dvc repro`",
        ),
        (
            lambda at: edit_yaml(at / "params.yaml", set_key("cells/grid/guidance", 3.0)),
            "params.yaml: cells.grid: not what dvc.lock recorded; run `dvc repro`",
        ),
        (lambda at: (at / "out").mkdir(), "out: there already; name a folder that is not"),
    ],
    ids=[
        *("no lock", "no sample set", "no licence", "other bytes", "no YAML", "another setting"),
        "there already",
    ],
)
def test_what_is_missing_or_changed_is_refused_and_leaves_nothing(
    spoil, refused, published_copy, tmp_path
):
    spoil(published_copy)
    before = sorted(published_copy.iterdir())
    with pytest.raises(UserError, match=refused.replace("(", r"\(")):
        export(load_settings(), published_copy / "out")
    assert sorted(published_copy.iterdir()) == before


def test_a_lock_that_is_cut_is_refused(published_copy):
    lock = (published_copy / "dvc.lock").read_bytes()
    for end in (len(lock) // 2, lock.rindex(b"    outs:"), lock.rindex(b"md5: ")):
        put(published_copy / "dvc.lock", lock[:end])
        with pytest.raises(UserError, match=r"^(dvc\.lock|params\.yaml): "):
            export(load_settings(), published_copy / "out")


@pytest.mark.faults
@pytest.mark.parametrize("reached", ["crate/models", "models", "samples"])
def test_a_killed_export_leaves_no_folder_and_the_next_one_is_whole(reached, out, published_copy):
    """Whole to the byte: what the dead one has left beside it is gone."""
    before = sorted(published_copy.iterdir())
    environment = os.environ | {"PYTHONPATH": str(published_copy / "src")}
    command = [sys.executable, "-m", "mnist_diffusion", "export", "out"]
    running = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    while not (published_copy / ".out.unfinished" / reached).exists():
        assert running.poll() is None
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert not (published_copy / "out").exists()
    export(load_settings(), published_copy / "out")
    assert tree(published_copy / "out") == tree(out)
    assert sorted(published_copy.iterdir()) == sorted([*before, published_copy / "out"])


def tree(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder): file_digest(path) for path in files}


def _list(value):
    return value if isinstance(value, list) else [value]
