"""A folder's manifest is of this version and of this folder, or it is refused in one line."""

from pathlib import Path

import pytest

from mnist_diffusion.files.jsonfile import write_json
from mnist_diffusion.provenance.lineage import read_manifest
from mnist_diffusion.runtime.errors import UserError

FOLDERS = {
    "data/prepared": ("prepare", None),
    "models/classifier": ("classifier", None),
    "data/reference": ("reference", None),
    "models/a": ("train", "a"),
    "data/samples/a": ("sample", "a"),
}
CONFIG = {"network": {"name": "unet"}}
FILE = {"data/prepared/summary.json": "0" * 64}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(place, **content):
        head = {"schema": 2, "files": FILE, "more": [1], "parameters": CONFIG}
        write_json(Path(place, "manifest.json"), head | content)
        write_json(Path(place, "config.json"), CONFIG)
        return Path(place)

    return write


@pytest.mark.parametrize("place", FOLDERS)
@pytest.mark.parametrize("told", FOLDERS)
def test_only_the_folders_own_manifest_is_taken(told, place, folder):
    stage, name = FOLDERS[told]
    written = folder(place, stage=stage, name=name)
    if told == place:
        assert read_manifest(written)["more"] == [1]
        return
    address = f"{stage}@{name}" if name else stage
    with pytest.raises(UserError, match=f"^{place}/manifest.json: the manifest of '{address}'; "):
        read_manifest(written)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 1},
        {"schema": 3},
        {"schema": "2"},
        {"files": None},
        {"files": ["data/prepared/summary.json"]},
        {"files": {"data/prepared/summary.json": 5}},
        {"stage": None},
        {"name": 5},
    ],
    ids=str,
)
def test_a_manifest_of_another_shape_is_refused(change, folder):
    written = folder("data/prepared", **({"stage": "prepare", "name": None} | change))
    with pytest.raises(UserError, match=r"^data/prepared/manifest\.json: not a manifest of this v"):
        read_manifest(written)


@pytest.mark.parametrize("name", ["b", "", "a\nb", "a" * 5000])
def test_the_manifest_of_another_run_is_refused_in_one_short_line(name, folder):
    with pytest.raises(UserError) as refused:
        read_manifest(folder("models/a", stage="train", name=name))
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 200


@pytest.mark.parametrize("config", [{"network": {"name": "simple"}}, {}, []])
def test_a_config_that_the_manifest_does_not_tell_of_is_refused(config, folder):
    written = folder("models/a", stage="train", name="a")
    write_json(written / "config.json", config)
    with pytest.raises(UserError, match=r"^models/a/config\.json: not what manifest\.json says; "):
        read_manifest(written)
