"""What stages published, hashed anew: every file, and every image by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_diffusion.audit.chain import Member
from mnist_diffusion.audit.dvcfiles import ignored
from mnist_diffusion.audit.evidence import Evidence
from mnist_diffusion.audit.findings import NAMED, Findings, failed, in_words
from mnist_diffusion.audit.manifests import confined
from mnist_diffusion.audit.plainfiles import links, regular
from mnist_diffusion.provenance.digests import image_digests
from mnist_diffusion.sampling.draw import labels_for
from mnist_diffusion.stages.sample import DIGESTS


def check(evidence: Evidence, member: Member) -> Findings:
    """The files are those that the manifest names, no more and no fewer, and of that content."""
    named = evidence.json(member.manifest)["files"]
    wanted = {Path(name): digest for name, digest in named.items() if confined(member, name)}
    for extra in _extras(member, set(wanted)):
        yield failed(extra, f"not among the files that {member.manifest} names")
    for path, digest in sorted(wanted.items()):
        yield from _file(evidence, path, digest)


def check_images(evidence: Evidence, member: Member) -> Findings:
    """Each image, with its place and its label, is the one that was published there."""
    parameters = evidence.json(member.manifest)["parameters"]["cell"]
    images = _array(member.folder / "images.npy", np.uint8)
    labels = _array(member.folder / "labels.npy", np.int64)
    published = regular(member.folder / DIGESTS).read_text(encoding="ascii").splitlines()
    counts = {"images.npy": len(images), "labels.npy": len(labels), DIGESTS: len(published)}
    for name, count in counts.items():
        if count != parameters["count"]:
            item = member.folder / name
            yield failed(item, "another number of images", parameters["count"], count)
    n = min(*counts.values(), parameters["count"])
    yield from _each(member.folder, images[:n], labels[:n], published[:n])
    yield from _labels(member.folder, labels[:n], parameters["guidance"])


def _extras(member: Member, wanted: set[Path]) -> Iterator[Path]:
    """Files, links and empty folders that have no business in the folder."""
    known = wanted | {member.manifest}
    folders = {parent for path in known for parent in path.parents}
    for path in sorted(member.folder.rglob("*")):
        a_folder = path.is_dir() and not path.is_symlink()
        if path not in (folders if a_folder else known) and not ignored(path):
            yield path


def _file(evidence: Evidence, path: Path, digest: str) -> Findings:
    for link in links(path):
        yield failed(link, "a symbolic link; what it points to is not what was published")
    try:
        here = evidence.content(path)
    except FileNotFoundError:
        yield failed(path, "published, and not there any more")
    except Exception as error:
        yield failed(path, f"unreadable: {in_words(error)}")
    else:
        if here != digest:
            yield failed(path, "not what was published", digest, here)


def _array(path: Path, dtype: type[np.generic]) -> NDArray[Any]:
    array: NDArray[Any] = np.load(regular(path), allow_pickle=False)
    if array.dtype != dtype or array.ndim == 0:
        raise ValueError(f"{path.name} holds {array.dtype} {array.shape}")
    return array


def _each(
    folder: Path, images: NDArray[np.uint8], labels: NDArray[np.int64], published: list[str]
) -> Findings:
    here = image_digests(images, labels)
    pairs = enumerate(zip(here, published, strict=True))
    differing = [k for k, (mine, theirs) in pairs if mine != theirs]
    for k in differing[:NAMED]:
        item = f"{folder / 'images.npy'}: image {k}"
        yield failed(item, "not what was published there", published[k], here[k])
    if len(differing) > NAMED:
        rest = f"{len(differing) - NAMED} more images are not what was published there"
        yield failed(folder / "images.npy", rest)


def _labels(folder: Path, labels: NDArray[np.int64], guidance: float) -> Findings:
    """Which digit is asked for follows from an image's place alone."""
    asked = labels_for(len(labels), guidance)
    for k in np.flatnonzero(labels != asked)[:NAMED].tolist():
        item = f"{folder / 'labels.npy'}: label {k}"
        yield failed(item, "not the digit that was asked for", asked[k], labels[k])
