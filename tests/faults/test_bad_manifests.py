"""Folders that are not what their manifest says, manifests that are none, and pickles"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from breaking import replaced
from clones import Clone

from mnist_diffusion.files.jsonfile import to_text

pytestmark = pytest.mark.faults
Bytes = Callable[[bytes], bytes]
READERS = {
    "data/prepared": ("train", "source-uncond"),
    "models/cosine-class": ("sample", "cosine-class"),
    "models/few-steps": ("sample", "few-2"),
    "data/samples/cosine-class": ("evaluate", "cosine-class"),
}


def edited(**changes: Any) -> Bytes:
    return lambda content: to_text({**json.loads(content), **changes}).encode()


SCHEMA_1 = {"cell": "cosine-class", "parameters": {"steps": 5}, "images_sha256": "0" * 64}
MANIFESTS: dict[str, Bytes | None] = {
    "empty": lambda _: b"",
    "cut": lambda c: c[: len(c) // 2],
    "not JSON": lambda _: b"{'schema': 2}",
    "not text": lambda _: b"\xff\xfe\x00",
    "a list": lambda _: b"[]",
    "too deep": lambda _: b"[" * 100_000,
    "a folder": None,
    "of schema 1": lambda _: to_text(SCHEMA_1).encode(),
    "of a schema to come": edited(schema=3),
    "no files": lambda c: to_text(
        {k: v for k, v in json.loads(c).items() if k != "files"}
    ).encode(),
    "files for a list": edited(files=["weights.safetensors"]),
    "files that are null": edited(files=None),
    "files elsewhere": edited(files={"../../etc/passwd": "0" * 64}),
    "digests that are numbers": edited(files={"params.yaml": 5}),
    "of another stage": edited(stage="reference"),
    "of another run": edited(name="linear-uncond"),
}


@pytest.mark.parametrize("folder", READERS)
@pytest.mark.parametrize("what", MANIFESTS)
def test_a_broken_manifest(what: str, folder: str, clone: Clone, refused) -> None:
    name = f"{folder}/manifest.json"
    change = MANIFESTS[what]
    content = change((clone.folder / name).read_bytes()) if change else None
    assert refused(name, content, *READERS[folder]).startswith("error: ")


@pytest.mark.parametrize("folder", READERS)
def test_a_missing_manifest(folder: str, clone: Clone, command) -> None:
    path = clone.folder / folder / "manifest.json"
    hidden = path.rename(clone.folder / "hidden")
    try:
        assert f"error: {folder}/manifest.json: " in command(clone.folder, *READERS[folder]).error()
    finally:
        hidden.rename(path)


@pytest.mark.parametrize("folder", READERS)
def test_a_missing_file(folder: str, clone: Clone, command) -> None:
    name = next(iter(json.loads((clone.folder / folder / "manifest.json").read_text())["files"]))
    hidden = (clone.folder / name).rename(clone.folder / "hidden")
    try:
        assert f"error: {name}: not found; " in command(clone.folder, *READERS[folder]).error()
    finally:
        hidden.rename(clone.folder / name)


ARRAYS = {
    "data/prepared/train-images.npy": READERS["data/prepared"],
    "data/prepared/validation-images.npy": ("classifier",),
    "models/cosine-class/betas.npy": ("distill", "few-steps"),
    "models/few-steps/betas.npy": READERS["models/few-steps"],
    "data/samples/cosine-class/images.npy": READERS["data/samples/cosine-class"],
}


@pytest.mark.parametrize("name", ARRAYS)
def test_one_bit_of_an_array(name: str, refused, clone: Clone) -> None:
    content = bytearray((clone.folder / name).read_bytes())
    content[-1] ^= 1
    assert f"error: {name}: not what " in refused(name, bytes(content), *ARRAYS[name])


class Canary:
    """Unpickled, it leaves a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch canary",)


PICKLES = {
    **ARRAYS,
    "models/cosine-class/weights.safetensors": READERS["models/cosine-class"],
    "models/classifier/weights.safetensors": READERS["data/samples/cosine-class"],
    "data/reference/statistics.safetensors": READERS["data/samples/cosine-class"],
    "data/samples/cosine-class/labels.npy": READERS["data/samples/cosine-class"],
}


@pytest.mark.parametrize("fitted", [False, True], ids=["alone", "with a manifest that fits"])
@pytest.mark.parametrize("name", PICKLES)
def test_a_pickle_is_not_opened(name: str, fitted: bool, refused, tmp_path: Path) -> None:
    path = tmp_path / Path(name).name
    if name.endswith(".npy"):
        np.save(path, np.array([Canary()], dtype=object), allow_pickle=True)
    else:
        torch.save({"weights": Canary()}, path)  # noqa: TID251
    words = PICKLES[name]
    assert f"error: {name}: " in refused(name, path.read_bytes(), *words, fitted=fitted)


def test_a_pickle_among_the_states_of_unfinished_work(clone: Clone, command) -> None:
    """In the place of what a disk too full to publish has left behind."""
    words = READERS["models/cosine-class"]
    full = ("data/samples/cosine-class/.manifest.json", 1)
    assert command(clone.folder, *words, kind="open", at=full).code == 1
    states = list((clone.folder / ".work/resume/sample@cosine-class").iterdir())
    assert len(states) == 2
    for state in states:
        torch.save({"weights": Canary()}, state)  # noqa: TID251
    done = command(clone.folder, *words)
    assert done.code == 0 and "starting anew" in done.output, done.output
    assert not list(clone.folder.rglob("canary*"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="has CUDA")
@pytest.mark.parametrize(
    "stage", ["classifier", "reference", *(" ".join(w) for w in READERS.values())]
)
def test_a_device_that_is_forced_and_missing(stage: str, clone: Clone, command) -> None:
    params = (clone.folder / "params.yaml").read_bytes()
    forced = params.replace(b"device: auto ", b"device: cuda ")
    assert forced != params
    with replaced(clone.folder / "params.yaml", forced):
        before = clone.tree()
        line = command(clone.folder, *stage.split()).error()
        assert line.startswith("error: compute.device: cuda is forced but not there; ")
        assert clone.tree() == before
