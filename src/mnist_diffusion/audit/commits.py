"""Params and source at the commit that a stage's sidecar noted."""

from __future__ import annotations

import re
import subprocess

from mnist_diffusion.audit import declared
from mnist_diffusion.audit.chain import FOLDERS, REPORT, Member
from mnist_diffusion.audit.evidence import Evidence
from mnist_diffusion.audit.findings import Findings, failed, note, some, unverified
from mnist_diffusion.files import paths
from mnist_diffusion.provenance.source import source_digest
from mnist_diffusion.runtime.errors import UserError

COMMIT = re.compile("[0-9a-f]{7,64}")
SHOWN = 10
"""Digits of a commit that people read."""


def check(evidence: Evidence, member: Member) -> Findings:
    """The commit has the params, where it tells them, and the source that the manifest has."""
    timing = member.timing
    if not timing.is_file():
        yield unverified(timing, "not there, so that the commit is unknown")
        return
    sidecar = evidence.json(timing)
    if sidecar.get("manifest_sha256") != evidence.content(member.manifest):
        text = f"tells of another than {member.manifest}, so that the commit is unknown"
        yield unverified(timing, text)
        return
    commit, dirty = sidecar.get("git_commit"), sidecar.get("git_dirty")
    if not commit:
        yield unverified(f"{timing}: git_commit", "made outside of git")
    elif dirty is not False:
        text = f"made with changes not in commit {commit[:SHOWN]}, which says nothing then"
        yield note(f"{timing}: git_dirty", text)
    elif _show(evidence, commit, str(paths.PARAMS)) is None:
        text = f"no commit {commit[:SHOWN]} with a {paths.PARAMS} here; fetch it"
        yield unverified(f"{timing}: git_commit", text)
    else:
        yield from _params(evidence, member, commit)
        yield from _source(evidence, member, commit)


def check_report(evidence: Evidence) -> Findings:
    """Whether the pages were rendered by the source of a commit, which they cannot tell."""
    timing = REPORT.timing
    if not timing.is_file():
        yield unverified(timing, "not there, so that the commit is unknown")
    elif evidence.json(timing).get("git_dirty") is not False:
        yield note(f"{timing}: git_dirty", "rendered with changes that are in no commit")


def _params(evidence: Evidence, member: Member, commit: str) -> Findings:
    if member.stage not in FOLDERS:
        return
    source = f"{paths.PARAMS} at {commit[:SHOWN]}"
    text = _show(evidence, commit, str(paths.PARAMS)) or b""
    try:
        then = declared.parameters(evidence.params_at(text), source, member)
    except UserError as error:
        yield unverified(source, f"this version cannot read it: {error}")
        return
    said = evidence.json(member.manifest)["parameters"]
    for key, expected, found in declared.within("parameters", then, said):
        yield failed(f"{member.manifest}: {key}", f"not {source}", expected, found)


def _source(evidence: Evidence, member: Member, commit: str) -> Findings:
    files = evidence.json(member.manifest)["code"]["files"]
    other = [name for name, digest in files.items() if _digest(evidence, commit, name) != digest]
    if other:
        text = f"not the source of commit {commit[:SHOWN]}: {some(other)}"
        yield failed(f"{member.manifest}: code", text)


def _digest(evidence: Evidence, commit: str, name: str) -> str | None:
    content = _show(evidence, commit, f"src/{name}")
    try:
        return None if content is None else source_digest(name, content)
    except (SyntaxError, ValueError):
        return None


def _show(evidence: Evidence, commit: str, path: str) -> bytes | None:
    """A file at a commit; None if there is no such commit or file, or no git."""
    key = (commit, path)
    if key not in evidence.git:
        evidence.git[key] = _git_show(commit, path)
    return evidence.git[key]


def _git_show(commit: str, path: str) -> bytes | None:
    if not COMMIT.fullmatch(commit):
        return None
    try:
        command = ["git", "show", f"{commit}:./{path}"]
        done = subprocess.run(command, capture_output=True, timeout=60)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
