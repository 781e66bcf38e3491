"""What a member of a chain says of itself, against what is there, and against MLflow."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from mnist_diffusion.audit.chain import Evidence, Member
from mnist_diffusion.audit.output import NAMED, Findings, failed, gather, note
from mnist_diffusion.pipeline import STAGES
from mnist_diffusion.provenance.digests import image_digests
from mnist_diffusion.provenance.schemas.manifest import Manifest
from mnist_diffusion.runtime.errors import in_one_line

DIGESTS = "digests.txt"


def check_manifest(evidence: Evidence, member: Member) -> Findings:
    """The manifest is of the known shape, and this stage's."""
    path, content = member.artifact, evidence.json(member.artifact)
    try:
        Manifest.model_validate(content)
    except ValidationError as error:
        for one in error.errors():
            key = ".".join(str(part) for part in one["loc"])
            yield failed(f"{path}: {key}", one["msg"], found=one["input"])
    for key, due in (("stage", member.stage), ("name", member.name)):
        if content.get(key) != due:
            yield failed(f"{path}: {key}", "is another's", due, content.get(key))


def check_files(evidence: Evidence, member: Member) -> Findings:
    """Every file that the manifest names is here, and of that content; DVC finds others."""
    for name, digest in sorted(evidence.json(member.artifact)["files"].items()):
        if _is_own(member, name):
            check = partial(_check_file, evidence, Path(name), digest)
            yield from gather(member.address, "files", name, check)
        else:
            yield failed(f"{member.artifact}: files.{name}", f"no file of {member.address}")


def _check_file(evidence: Evidence, path: Path, digest: str) -> Findings:
    if (here := evidence.content(path)) != digest:
        yield failed(path, "not what was published", digest, here)


def _is_own(member: Member, name: str) -> bool:
    """Whether a path is plain, and one of those that the stage writes."""
    report = STAGES[member.stage].report
    inside = name == os.path.normpath(name) and Path(name).is_relative_to(member.folder or "")
    return "\0" not in name and (inside or bool(report and Path(name) == report("")))


def check_each_image(evidence: Evidence, member: Member) -> Findings:
    """Each image, with its place and its label, is the one that was published there."""
    folder = member.artifact.parent
    images, labels = (
        np.load(evidence.plain(folder / name), allow_pickle=False)
        for name in ("images.npy", "labels.npy")
    )
    published = evidence.plain(folder / DIGESTS).read_text(encoding="ascii").splitlines()
    if not len(images) == len(labels) == len(published):
        counts = f"{len(images)} images, {len(labels)} labels"
        yield failed(folder / "images.npy", "another number", len(published), counts)
        return
    here = image_digests(images, labels)
    wrong = [k for k, digest in enumerate(published) if digest != here[k]]
    for k in wrong[:NAMED]:
        item = f"{folder / 'images.npy'}: image {k}"
        yield failed(item, "not what was published there", published[k], here[k])
    if wrong[NAMED:]:
        rest = f"{len(wrong) - NAMED} more images are not what was published there"
        yield failed(folder / "images.npy", rest)


def check_tracked(evidence: Evidence, member: Member) -> Findings:
    """Its run in MLflow, which may be missing, and may not contradict the files."""
    from mnist_diffusion.tracking.sync import mlflow_differences

    sync = "run `mnist-diffusion track --sync`"
    try:
        seen = mlflow_differences(member.stage, str(member.name))
    except Exception as error:
        yield note("MLflow", f"cannot be asked: {in_one_line(error)}")
        return
    if seen is None:
        yield note("MLflow", f"has no finished run of {member.address}, as it is here; {sync}")
        return
    for kind, key, expected, found in seen[1]:
        item = f"MLflow: run {seen[0][:8]}, {kind} {key}"
        yield failed(item, f"contradicts the files of {member.address}; {sync}", expected, found)
