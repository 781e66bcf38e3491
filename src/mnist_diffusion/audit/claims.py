"""What the report shows beside the cells: its own pages, and what other stages say in JSON."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mnist_diffusion.audit.chain import FOLDERS, REPORT, Member, check_link, named
from mnist_diffusion.audit.evidence import LOCK, Evidence
from mnist_diffusion.audit.findings import Findings, unverified
from mnist_diffusion.audit.locks import check_outs
from mnist_diffusion.audit.manifests import check_code

WITH_A_CELL = {"fetch", "evaluate", *FOLDERS}
"""Stages that are looked at in the chain of a cell."""


def members(evidence: Evidence) -> Iterator[Member]:
    """The report, and all stages that have run whose JSON is none of a cell's chain."""
    with suppress(Exception):  # who looks at the report, or at a cell, stumbles over it and tells
        yield from _others(evidence)
    yield REPORT


def _others(evidence: Evidence) -> Iterator[Member]:
    declared = {*evidence.params["runs"], *evidence.params["cells"]}
    for address in evidence.lock:
        member = named(address)
        gone = member.name is not None and member.name not in declared
        if member.stage not in {*WITH_A_CELL, REPORT.stage} and not gone:
            yield member


def check(evidence: Evidence, member: Member) -> Findings:
    """It is as its stage left it, and made from what is here."""
    if member.address not in evidence.lock:
        yield unverified(f"{LOCK}: {member.address}", "not there; `dvc repro` adds it")
        return
    yield from check_outs(evidence, member)
    if member == REPORT:  # pages have no place for what they were made from
        return
    for entry in evidence.lock[member.address]["outs"]:
        path = Path(entry["path"])
        if path.is_file():
            content = evidence.json(path)
            for source, said in sorted(content["made_from"].items()):
                yield from check_link(evidence, member, source, said)
            yield from check_code(path, content["code"])
