"""Weights and configs that are broken, or another network's"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from breaking import fitting, replaced
from clones import Clone
from safetensors.torch import load_file, save

from mnist_diffusion.files.jsonfile import to_text

pytestmark = pytest.mark.faults
MODEL = "models/cosine-class"
WEIGHTS, CONFIG, MANIFEST = (
    f"{MODEL}/{name}" for name in ("weights.safetensors", "config.json", "manifest.json")
)
SAMPLE = ("sample", "cosine-class")
Bytes = Callable[[bytes], bytes]


def flipped(place: float) -> Bytes:
    def flip(content: bytes) -> bytes:
        changed = bytearray(content)
        changed[int(place * (len(changed) - 1))] ^= 0x10
        return bytes(changed)

    return flip


def in_header(place: float) -> Bytes:
    def flip(content: bytes) -> bytes:
        size = 8 + int.from_bytes(content[:8], "little")
        return flipped(place)(content[:size]) + content[size:]

    return flip


BROKEN: dict[str, Bytes] = {
    **{f"cut at {k * 10} %": lambda c, k=k: c[: len(c) * k // 10] for k in range(10)},
    "cut by a byte": lambda c: c[:-1],
    "a byte more": lambda c: c + b"\x00",
    **{f"a header bit at {k * 11} %": in_header(k / 9) for k in range(10)},
    **{f"a payload bit at {90 + k} %": flipped((90 + k) / 100) for k in range(11)},
    "a header of 2^63 bytes": lambda c: b"\xff" * 7 + b"\x7f" + c[8:],
    "not safetensors": lambda _: b"PK\x03\x04 and so on" * 100,
}


@pytest.mark.parametrize("how", BROKEN)
def test_broken_weights(how: str, clone: Clone, refused) -> None:
    content = (clone.folder / WEIGHTS).read_bytes()
    assert f"error: {WEIGHTS}: " in refused(WEIGHTS, BROKEN[how](content), *SAMPLE)


OTHER: dict[str, Callable[[Clone], bytes]] = {
    "of another network": lambda c: (
        c.folder / "models/source-uncond" / Path(WEIGHTS).name
    ).read_bytes(),
    "of the judge": lambda c: (c.folder / "models/classifier" / Path(WEIGHTS).name).read_bytes(),
    "float64": lambda c: save({k: v.double() for k, v in load_file(c.folder / WEIGHTS).items()}),
    "float16": lambda c: save({k: v.half() for k, v in load_file(c.folder / WEIGHTS).items()}),
    "one missing": lambda c: save(dict(list(load_file(c.folder / WEIGHTS).items())[1:])),
    "one more": lambda c: save({**load_file(c.folder / WEIGHTS), "more": torch.zeros(1)}),
    "none": lambda _: save({}),
}


@pytest.mark.parametrize("fitted", [False, True], ids=["alone", "with a manifest that fits"])
@pytest.mark.parametrize("words", [SAMPLE, ("distill", "few-steps")], ids=" ".join)
@pytest.mark.parametrize("what", OTHER)
def test_other_weights(
    what: str, words: tuple[str, ...], fitted: bool, clone: Clone, refused
) -> None:
    assert f"error: {WEIGHTS}: " in refused(WEIGHTS, OTHER[what](clone), *words, fitted=fitted)


@pytest.mark.parametrize("fitted", [False, True], ids=["alone", "with a manifest that fits"])
def test_weights_of_a_teacher_are_not_its_student_s(fitted: bool, clone: Clone, refused) -> None:
    name = "models/few-steps/weights.safetensors"
    content = (clone.folder / WEIGHTS).read_bytes()
    assert f"error: {name}: " in refused(name, content, "sample", "few-2", fitted=fitted)


def test_weights_that_are_not_finite(clone: Clone, command) -> None:
    """Found when images come out; by then there is progress on stderr as well."""
    tensors = load_file(clone.folder / WEIGHTS)
    content = save({k: v * float("nan") for k, v in tensors.items()})
    with replaced(clone.folder / WEIGHTS, content):
        manifest = clone.folder / MANIFEST
        with replaced(manifest, fitting(clone, manifest, WEIGHTS)):
            before = clone.tree()
            done = command(clone.folder, *SAMPLE)
            assert clone.tree() == before
    assert done.code == 1 and "Traceback" not in done.output
    assert done.output.splitlines()[-1].startswith("error: cells.cosine-class: images are not fin")


CONFIGS: dict[str, Callable[[Any], Any]] = {
    "a schema to come": lambda c: {"schema": 99, "model": c},
    "nothing": lambda _: {},
    "a list": lambda c: [c],
    "no network": lambda c: {k: v for k, v in c.items() if k != "network"},
    "no run": lambda c: {k: v for k, v in c.items() if k != "run"},
    "a network nobody knows": lambda c: {**c, "network": {**c["network"], "name": "unit"}},
    "a size nobody knows": lambda c: {**c, "network": {"name": "unet", "sizes": {"depth": 5}}},
    "another prediction": lambda c: {**c, "run": {**c["run"], "prediction": "score"}},
}


@pytest.mark.parametrize("fitted", [False, True], ids=["alone", "with a manifest that fits"])
@pytest.mark.parametrize("what", CONFIGS)
def test_another_config(what: str, fitted: bool, clone: Clone, refused) -> None:
    config = CONFIGS[what](json.loads((clone.folder / CONFIG).read_text()))
    line = refused(CONFIG, to_text(config).encode(), *SAMPLE, fitted=fitted)
    assert line.startswith(f"error: {MODEL}/")
