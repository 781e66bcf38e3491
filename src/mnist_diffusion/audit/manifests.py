"""A manifest by itself: its version and shape, its paths, and what it says twice."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from mnist_diffusion.audit.chain import REPORTS, Member
from mnist_diffusion.audit.evidence import Evidence
from mnist_diffusion.audit.findings import Findings, failed, some, unverified
from mnist_diffusion.audit.plainfiles import links
from mnist_diffusion.files.jsonfile import to_text
from mnist_diffusion.provenance.digests import json_digest
from mnist_diffusion.provenance.schemas.manifest import Manifest
from mnist_diffusion.provenance.source import OWN_ROOT, source_digest


def check(evidence: Evidence, member: Member) -> Findings:
    """It is there, of the known shape, of this stage, and names only what is its own."""
    path = member.manifest
    for link in links(path):
        yield failed(link, "a symbolic link; what it points to is not what was published")
    if not path.is_file():
        yield _absent(member)
        return
    content = evidence.json(path)
    if path.read_text(encoding="utf-8") != to_text(content):
        yield failed(path, "not in the form that stages write, so somebody else wrote it")
    if member.stage != "evaluate":
        yield from _shape(path, content)
        yield from _whose(member, content)
        for named in sorted(content["files"]):
            if not confined(member, named):
                yield failed(f"{path}: files.{named}", f"not within {member.folder}")
    yield from check_code(path, content["code"])


def confined(member: Member, named: str) -> bool:
    """Whether a path is plain, relative, and one of those that the stage writes."""
    if named != os.path.normpath(named) or "\0" in named:
        return False
    pure = PurePosixPath(named)
    inside = pure.is_relative_to(member.folder.as_posix()) and Path(named) != member.manifest
    return ".." not in pure.parts and (inside or Path(named) == REPORTS.get(member.stage))


def _absent(member: Member) -> Any:
    if member.stage != "evaluate" and member.folder.is_dir():
        return failed(member.manifest, "not there: the folder is not whole, or was robbed of it")
    return unverified(member.manifest, "not there; `dvc checkout` or `dvc repro` brings it")


def _shape(path: Path, content: Any) -> Findings:
    try:
        Manifest.model_validate(content)
    except ValidationError as error:
        for one in error.errors():
            key = ".".join(str(part) for part in one["loc"])
            yield failed(f"{path}: {key}", one["msg"], found=one["input"])


def _whose(member: Member, content: dict[str, Any]) -> Findings:
    for key in ("stage", "name"):
        expected = getattr(member, key)
        if content.get(key) != expected:
            item = f"{member.manifest}: {key}"
            yield failed(item, "is another's", expected, content.get(key))


def check_code(path: Path, code: dict[str, Any]) -> Findings:
    """The source that made it; other source here means that here it could not be made again."""
    whole = json_digest(code["files"])
    if code["sha256"] != whole:
        yield failed(f"{path}: code.sha256", "not that of code.files", whole, code["sha256"])
    other = [name for name, digest in code["files"].items() if _source(name) != digest]
    if other:
        yield unverified(f"{path}: code", f"made by other source than is here: {some(other)}")


def _source(name: str) -> str | None:
    """The digest of a source file of this repository, by its path below src/."""
    path = OWN_ROOT / name
    if not path.resolve().is_relative_to(OWN_ROOT.resolve()) or not path.is_file():
        return None
    try:
        return source_digest(name, path.read_bytes())
    except (SyntaxError, ValueError):
        return None
