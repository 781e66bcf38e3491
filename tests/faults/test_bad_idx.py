"""Files that are not MNIST's, put into data/raw by hand: refused, never used, never overwritten"""

import gzip
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from clones import Clone
from smoke_scale import smoke_text

pytestmark = [pytest.mark.faults, pytest.mark.quick]
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES = "t10k-images-idx3-ubyte"
HEADER = {IMAGES: 16, LABELS: 8}
Make = Callable[[dict[str, bytes]], bytes]


def declaring(name: str, *shape: int, items: int | None = None) -> Make:
    """The file with another shape in its header, and as many items as asked for."""

    def make(real: dict[str, bytes]) -> bytes:
        content = real[name]
        header = content[:4] + struct.pack(f">{len(shape)}I", *shape)
        return header + content[HEADER[name] :][:items]

    return make


def label_10(real: dict[str, bytes]) -> bytes:
    return real[LABELS][:-1] + b"\x0a"


def one_pixel(real: dict[str, bytes]) -> bytes:
    middle = len(real[IMAGES]) // 2
    return real[IMAGES][:middle] + b"\x01" + real[IMAGES][middle + 1 :]


BAD: dict[str, tuple[str, Make]] = {
    "empty": (LABELS, lambda _: b""),
    "cut to half": (IMAGES, lambda real: real[IMAGES][: len(real[IMAGES]) // 2]),
    "cut by a byte": (LABELS, lambda real: real[LABELS][:-1]),
    "cut in its header": (IMAGES, lambda real: real[IMAGES][:10]),
    "still gzip": (LABELS, lambda real: gzip.compress(real[LABELS])),
    "gzip, cut": (LABELS, lambda real: gzip.compress(real[LABELS])[:-20]),
    "wrong magic": (IMAGES, lambda real: b"\x00\x00\x0d\x03" + real[IMAGES][4:]),
    "27 by 28": (IMAGES, declaring(IMAGES, 60_000, 27, 28, items=60_000 * 27 * 28)),
    "a label too few": (LABELS, declaring(LABELS, 59_999, items=59_999)),
    "an image too few": (IMAGES, declaring(IMAGES, 59_999, 28, 28, items=59_999 * 784)),
    "label 10": (LABELS, label_10),
    "2^31 labels declared": (LABELS, declaring(LABELS, 2**31)),
    "2^31 images declared": (IMAGES, declaring(IMAGES, 2**31, 28, 28)),
    "trailing bytes": (IMAGES, lambda real: real[IMAGES] + b"\x00" * 784),
    "trailing line end": (LABELS, lambda real: real[LABELS] + b"\n"),
    "the test images": (IMAGES, lambda real: real[TEST_IMAGES]),
    "the training images": (TEST_IMAGES, lambda real: real[IMAGES]),
    "labels for images": (IMAGES, lambda real: real[LABELS]),
    "one pixel": (IMAGES, one_pixel),
}


@pytest.fixture(scope="module")
def real(raw_mnist: Path) -> dict[str, bytes]:
    return {name: (raw_mnist / name).read_bytes() for name in (IMAGES, LABELS, TEST_IMAGES)}


@pytest.fixture(scope="module")
def project(tmp_path_factory, raw_mnist: Path, command) -> Clone:
    """What `fetch` and `prepare` need, with links to MNIST, and prepared digits to lose."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "data/raw").mkdir(parents=True)
    for path in raw_mnist.glob("*-ubyte"):
        (folder / "data/raw" / path.name).symlink_to(path)
    (folder / "params.yaml").write_text(smoke_text())
    assert command(folder, "code").code == command(folder, "prepare").code == 0
    return Clone(folder)


@pytest.mark.parametrize("stage", ["fetch", "prepare"])
@pytest.mark.parametrize("bad", BAD)
def test_a_file_is_refused(bad: str, stage: str, project: Clone, real, command) -> None:
    name, make = BAD[bad]
    place = project.folder / "data/raw" / name
    link = place.readlink()
    content = make(real)
    place.unlink()
    place.write_bytes(content)
    before = project.tree("data")
    try:
        assert f"data/raw/{name}: " in command(project.folder, stage).error()
        assert project.tree("data") == before
        assert place.read_bytes() == content
    finally:
        place.unlink()
        place.symlink_to(link)


@pytest.mark.parametrize("stage", ["fetch", "prepare"])
@pytest.mark.parametrize("kind", ["folder", "dangling link"])
def test_what_is_no_file_is_refused(kind: str, stage: str, project: Clone, command) -> None:
    place = project.folder / "data/raw" / LABELS
    link = place.readlink()
    place.unlink()
    place.mkdir() if kind == "folder" else place.symlink_to("nowhere")
    before = project.tree("data/prepared")
    try:
        assert f"data/raw/{LABELS}: " in command(project.folder, stage).error()
        assert os.path.lexists(place)
        assert project.tree("data/prepared") == before
    finally:
        place.rmdir() if kind == "folder" else place.unlink()
        place.symlink_to(link)
