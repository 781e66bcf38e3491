"""A check that is left out is missed: without it, something that it alone names goes unnamed."""

import json

import pytest
from tamperings import CELL, MANIFEST, METRICS, RUN, TAMPERINGS, TSTR

from mnist_diffusion.audit import (
    chain,
    claims,
    contents,
    details,
    locks,
    manifests,
    redrawing,
    scores,
    tables,
    tracked,
)
from mnist_diffusion.audit.auditor import Auditor
from mnist_diffusion.audit.evidence import Evidence
from mnist_diffusion.audit.findings import Severity

pytestmark = pytest.mark.faults


def nothing(*_, **__):
    return iter(())


MUTANTS = {
    "no look at manifests": (manifests, "check", f"{MANIFEST}, schema"),
    "no look at each image": (contents, "check_images", "one pixel"),
    "no look at labels": (contents, "_labels", "an image relabelled"),
    "no walk along the chain": (chain, "check", f"{METRICS}, made_from/classifier"),
    "no look at details": (details, "check", f"{MANIFEST}, training/parameters"),
    "no look into DVC's cache": (locks, "_cached", "DVC's cached images, made read-only again"),
    "no look at params.yaml": (locks, "check_recorded", "a parameter in params.yaml"),
    "no look at dvc.lock": (locks, "check", "the MD5 of a dependency in dvc.lock"),
    "no look at dvc.yaml": (locks, "check_declared", "another command in dvc.yaml"),
    "no look at the scores": (scores, "check", f"{METRICS}, fd"),
    "no look at the tables": (tables, "check", "a number of a table"),
    "no look at the report": (claims, "check", "a page of the report"),
    "no look at what claims rest on": (claims, "check_link", f"{TSTR}, made_from/sample@{RUN}"),
    "no look at MLflow": (tracked, "contradictions", "a metric in MLflow"),
}


def is_named(tampering, root):
    tamper, item = TAMPERINGS[tampering]
    tamper(root)
    auditor = Auditor()
    findings = [*auditor.audit(CELL).findings, *auditor.report().findings]
    return any(f.severity == Severity.FAILED and item in f.item for f in findings)


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_check_that_is_left_out_is_missed(published_copy, monkeypatch, mutant):
    module, name, tampering = MUTANTS[mutant]
    monkeypatch.setattr(module, name, nothing)
    assert not is_named(tampering, published_copy)


@pytest.mark.parametrize("tampering", ["a weight, by one bit", "a pixel of the prepared digits"])
def test_digests_that_are_believed_are_missed(published_copy, monkeypatch, tampering):
    """The mutant that hashes nothing anew, and takes what is recorded for what is there."""
    recorded = {}
    for manifest in published_copy.glob("**/manifest.json"):
        content = json.loads(manifest.read_text())
        recorded |= content["files"]
    whole = Evidence.__init__

    def trusting(self):
        whole(self)
        hashed, listed = self.content, self.md5
        locked = {
            entry["path"]: entry["md5"]
            for stage in self.lock.values()
            for entry in [*stage.get("deps", []), *stage.get("outs", [])]
        }
        self.content = lambda path: recorded.get(path.as_posix()) or hashed(path)
        self.md5 = lambda path: locked.get(path.as_posix()) or listed(path)

    monkeypatch.setattr(Evidence, "__init__", trusting)
    assert not is_named(tampering, published_copy)


def test_images_that_are_not_compared_are_missed(published_copy, monkeypatch):
    def failures():
        findings = Auditor(redrawing.Choice(20)).audit(CELL).findings
        return [f for f in findings if (f.check, f.severity) == ("redrawn", Severity.FAILED)]

    TAMPERINGS["one pixel, and the manifest made to fit"][0](published_copy)
    assert failures()
    monkeypatch.setattr(redrawing, "compared", nothing)
    assert not failures()
