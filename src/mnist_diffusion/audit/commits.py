"""What a commit says of what was made there, by its params.yaml and its source."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mnist_diffusion.audit.chain import NOTHING, REPORT, Evidence, Member, differences, in_order
from mnist_diffusion.audit.output import Findings, failed, note, some, unverified
from mnist_diffusion.files import paths
from mnist_diffusion.files.yamlfile import read_yaml, value_at
from mnist_diffusion.pipeline import STAGES
from mnist_diffusion.provenance.environment import git
from mnist_diffusion.provenance.schemas.manifest import Timing
from mnist_diffusion.provenance.source import OWN_ROOT, stage_code
from mnist_diffusion.runtime.errors import UserError

COMMIT = re.compile("[0-9a-f]{7,64}")
SHOWN = 10
"""Digits of a commit that people read."""


def check_commit(evidence: Evidence, member: Member) -> Findings:
    """The commit of its sidecar has the parameters and the source that made it."""
    timing = paths.timing_of(member.address)
    if not timing.is_file():
        yield unverified(timing, "not there, so that the commit is unknown")
        return
    sidecar = Timing.model_validate(evidence.json(timing))
    commit = sidecar.git_commit
    if not _is_of_this_run(evidence, member):
        text = "of another run; DVC took this one from its cache, so that the commit is unknown"
        yield note(timing, text)
    elif not commit:
        yield unverified(f"{timing}: git_commit", "made outside of git")
    elif sidecar.git_dirty is not False:
        text = f"made with changes not in commit {commit[:SHOWN]}, which says nothing then"
        yield note(f"{timing}: git_dirty", text)
    elif member == REPORT:  # pages have no place for what made them
        return
    elif there := past(commit):
        yield from _as_committed(evidence, member, there, commit[:SHOWN])
    else:
        text = f"no commit {commit[:SHOWN]} with a {paths.PARAMS} here; fetch it"
        yield unverified(f"{timing}: git_commit", text)


def untimed(evidence: Evidence) -> list[str]:
    """The stages whose sidecar is of another run than what is here."""
    there = [member for member in in_order(evidence.answer.stages) if member.is_there]
    timed = [member for member in there if paths.timing_of(member.address).is_file()]
    return [member.address for member in timed if not _is_of_this_run(evidence, member)]


def _is_of_this_run(evidence: Evidence, member: Member) -> bool:
    sidecar = evidence.json(paths.timing_of(member.address))
    digest = None if member == REPORT else evidence.content(member.artifact)
    return bool(sidecar.get("manifest_sha256") == digest)


def _as_committed(evidence: Evidence, member: Member, there: Past, commit: str) -> Findings:
    """What is not as dvc.lock has it here, is told by DVC's check."""
    where = f"{paths.PARAMS} at {commit}"
    for key, word in evidence.answer.stages[member.address].params.items():
        both = (there.params, evidence.params())
        then, here = ({key: value_at(content, key, NOTHING)} for content in both)
        if then[key] == NOTHING:
            yield unverified(where, f"has no {key}, which {member.address} depends on here")
        elif not word:
            for name, expected, found in differences(then, here):
                yield failed(f"{member.artifact}: {name}", f"not {where}", expected, found)
    recorded = evidence.json(member.artifact)["code"]["files"]
    other = [name for name, _, _ in differences(there.code.get(member.stage.name, {}), recorded)]
    if other:
        text = f"not the source of commit {commit}: {some(other)}"
        yield failed(f"{member.artifact}: code", text)


@dataclass(frozen=True)
class Past:
    """What a commit has."""

    params: dict[str, Any]
    """The content of params.yaml; nothing if this version cannot read it."""
    code: dict[str, dict[str, str]]
    """By stage, what decides its result."""


@cache
def past(commit: str) -> Past | None:
    """Parameters and source at a commit; None if there is no such commit, or no git."""
    with TemporaryDirectory() as name:
        root = Path(name)
        if not COMMIT.fullmatch(commit) or not unpack(commit, (OWN_ROOT, paths.PARAMS), root):
            return None
        found = Past({}, {})
        for stage in STAGES:
            with suppress(ModuleNotFoundError):  # it had another name then
                found.code[stage] = stage_code(stage, root / OWN_ROOT)
        with suppress(UserError):
            found.params.update(read_yaml(root / paths.PARAMS))
        return found


def unpack(commit: str, wanted: Iterable[Path], folder: Path) -> bool:
    """Put what a commit has of these into a folder; False if it lacks one, or there is no git."""
    packed = folder / "packed.tar"
    if git("archive", f"--output={packed}", commit, "--", *map(str, wanted)) is None:
        return False
    with tarfile.open(packed) as files:
        files.extractall(folder, filter="data")
    return True
