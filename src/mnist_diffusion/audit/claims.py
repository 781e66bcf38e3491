"""What the report shows beside the cells: its own pages, and what other stages say in JSON."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from mnist_diffusion.audit import commits, locks
from mnist_diffusion.audit.chain import FOLDERS, REPORT, Member, check_link, named
from mnist_diffusion.audit.evidence import Evidence
from mnist_diffusion.audit.findings import Findings
from mnist_diffusion.audit.manifests import check_code

WITH_A_CELL = {"fetch", "evaluate", *FOLDERS}
"""Stages that are looked at in the chain of a cell."""


def members(evidence: Evidence) -> Iterator[Member]:
    """The report, and all stages whose JSON is none of a cell's chain."""
    with suppress(Exception):  # who looks at the report, or at a cell, stumbles over it and tells
        yield from _others(evidence)
    yield REPORT


def _others(evidence: Evidence) -> Iterator[Member]:
    for member in map(named, evidence.pipeline):
        if member.stage not in {*WITH_A_CELL, REPORT.stage}:
            yield member


def check(evidence: Evidence, member: Member) -> Findings:
    """It is as its stage left it, made by the source, with the params, that are here.

    Of what is all cells' together, such as data/samples, each cell's own checks tell.
    """
    yield from locks.check_declared(evidence, member)
    yield from locks.check_outs(evidence, member)
    yield from locks.check_source(evidence, member)
    yield from locks.check_recorded(evidence, member)
    if member == REPORT:  # pages have no place for what they were made from
        yield from commits.check_report(evidence)
    elif member.manifest.is_file():
        content = evidence.json(member.manifest)
        for source, said in sorted(content["made_from"].items()):
            yield from check_link(evidence, member, source, said)
        yield from check_code(member.manifest, content["code"])
        yield from commits.check(evidence, member)
