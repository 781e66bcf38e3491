"""What a cell rests on: its set, the run, the judge, the reference and the prepared digits."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnist_diffusion.audit.evidence import Evidence
from mnist_diffusion.audit.findings import Findings, failed, unverified
from mnist_diffusion.dataset import mnist
from mnist_diffusion.files import paths
from mnist_diffusion.pipeline import MANIFEST, STAGES

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
FOLDERS: dict[str, Callable[[str], Path]] = {
    "prepare": lambda _: paths.PREPARED,
    "classifier": lambda _: paths.CLASSIFIER,
    "autoencoder": lambda _: paths.AUTOENCODER,
    "reference": lambda _: paths.REFERENCE,
    "train": paths.model,
    "sample": paths.samples,
}
REPORTS = {
    "classifier": paths.CLASSIFIER_REPORT,
    "autoencoder": paths.AUTOENCODER_REPORT,
    "reference": paths.REFERENCE_REPORT,
}
"""What a stage publishes beside its folder."""


@dataclass(frozen=True)
class Member:
    """One stage of a chain, by its name and that of its run or cell."""

    stage: str
    name: str | None = None

    @property
    def address(self) -> str:
        return f"{self.stage}@{self.name}" if self.name else self.stage

    @property
    def folder(self) -> Path:
        """Where it publishes; KeyError for a stage that has no folder of its own."""
        return FOLDERS[self.stage](self.name or "")

    @property
    def manifest(self) -> Path:
        """The file that says what it published; KeyError for a stage that has none."""
        return STAGES[self.stage].published(self.name)

    @property
    def timing(self) -> Path:
        """Its sidecar, which knows the commit."""
        return paths.timing(self.stage, self.name)


def named(address: str) -> Member:
    """By an address, as DVC has it."""
    stage, _, name = address.partition("@")
    return Member(stage, name or None)


FETCH = Member("fetch")
"""It has no manifest: its files are known to everyone."""
REPORT = Member("report")
"""It tells of all cells, and nothing rests on it."""


def members(evidence: Evidence, cell: str) -> list[Member]:
    """The chain of a cell, from its set down to the raw digits, and its judgement.

    Its shape is known beforehand: a manifest that leaves out a link does not shorten it.
    """
    sample = Member("sample", cell)
    run = run_of(evidence, cell)
    trained = [Member("train", run)] if run else []
    judged = [Member("classifier"), Member("autoencoder"), Member("reference")]
    return [sample, *trained, *judged, Member("prepare"), FETCH, Member("evaluate", cell)]


def run_of(evidence: Evidence, cell: str) -> str | None:
    """The run behind a cell, as its manifest has it, or else params.yaml."""
    for told in (_told_by_manifest, _told_by_params):
        with suppress(Exception):  # the check of that file tells why
            run = told(evidence, cell)
            if isinstance(run, str) and NAME.fullmatch(run):
                return run
    return None


def _told_by_manifest(evidence: Evidence, cell: str) -> Any:
    return evidence.json(Member("sample", cell).manifest)["parameters"]["cell"]["run"]


def _told_by_params(evidence: Evidence, cell: str) -> Any:
    return evidence.params["cells"][cell]["run"]


def check(evidence: Evidence, member: Member) -> Findings:
    """What it says it was made from is what is here."""
    content = evidence.json(member.manifest)
    said, due = content["made_from"], _made_from(member, content)
    for source in sorted(due - set(said)):
        yield failed(f"{member.manifest}: made_from", f"does not name {source}")
    for source in sorted(set(said) - due):
        yield failed(f"{member.manifest}: made_from.{source}", "has no part in this stage")
    for source in sorted(due & set(said)):
        if member.stage == "prepare":
            yield from _raw(evidence, Path(source), said[source])
        else:
            yield from check_link(evidence, member, source, said[source])


def _made_from(member: Member, content: Mapping[str, Any]) -> set[str]:
    """The links that a stage has."""
    if member.stage == "sample":
        return {f"train@{content['parameters']['run']}"}
    raw = {(paths.RAW / name).as_posix() for name in mnist.SHA256}
    return {
        "prepare": raw,
        "classifier": {"prepare"},
        "train": {"prepare"},
        "autoencoder": {"prepare"},
        "reference": {"prepare", "classifier", "autoencoder"},
        "evaluate": {f"sample@{member.name}", "prepare", "classifier", "autoencoder", "reference"},
    }[member.stage]


def check_link(evidence: Evidence, member: Member, source: str, said: str) -> Findings:
    """What a stage was made from, by its address or, where it has no manifest, its path."""
    manifest = Path(source) if "/" in source else named(source).manifest
    if not manifest.is_file():
        yield unverified(manifest, f"not there, so that {member.address} hangs in the air")
    elif (here := evidence.content(manifest)) != said:
        text = f"is not the one that {member.address} was made from"
        yield failed(manifest, text, said, here)


def _raw(evidence: Evidence, path: Path, said: str) -> Findings:
    known = mnist.SHA256[path.name]
    if said != known:
        yield failed(f"{paths.PREPARED / MANIFEST}: {path}", "not MNIST's file", known, said)
    if not path.exists():
        yield unverified(path, "not there; `dvc repro fetch` brings it")
    elif (here := evidence.content(path)) != known:
        yield failed(path, "not MNIST's file", known, here)
