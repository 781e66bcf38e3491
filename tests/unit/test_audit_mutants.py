"""A check that is left out is missed: without it, something that it alone names goes unnamed."""

import base64
import json
from pathlib import Path

import pytest
from tamperings import CELL, MANIFEST, METRICS, RUN, TAMPERINGS, TSTR, one_pixel
from test_audit_tampering import bless, relock

from mnist_diffusion.audit import auditor, chain, dvc, replay, signature
from mnist_diffusion.audit.auditor import Auditor
from mnist_diffusion.audit.chain import Evidence
from mnist_diffusion.audit.output import Severity

pytestmark = pytest.mark.faults


def nothing(*_, **__):
    return iter(())


MUTANTS = {
    "no look at manifests": (chain, "check_manifest", f"{MANIFEST}, schema"),
    "no look at each image": (chain, "check_each_image", "one pixel"),
    "no look at files": (chain, "check_files", "the digest of a file in the manifest"),
    "no walk along the chain": (chain, "check_links", f"{METRICS}, made_from/classifier"),
    "no look at what others rest on": (chain, "check_links", f"{TSTR}, made_from/sample@{RUN}"),
    "no look at parameters": (chain, "check_parameters", f"{MANIFEST}, parameters/cell/guidance"),
    "no look at pages": (dvc, "check", "a page of the report"),
    "no look at dvc.lock": (dvc, "check", "the MD5 of a dependency in dvc.lock"),
    "no look at params.yaml": (dvc, "check", "a parameter of the run in params.yaml"),
    "no look at dvc.yaml": (dvc, "check", "another command in dvc.yaml"),
    "no look at MLflow": (chain, "check_tracked", "a metric in MLflow"),
}


def is_named(tampering, root):
    tamper, item = TAMPERINGS[tampering]
    tamper(root)
    audited = Auditor()
    findings = [*audited.audit(CELL).findings, *audited.report().findings]
    return any(f.severity == Severity.FAILED and item in f.item for f in findings)


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_check_that_is_left_out_is_missed(published_copy, monkeypatch, mutant):
    module, name, tampering = MUTANTS[mutant]
    monkeypatch.setattr(module, name, nothing)
    assert not is_named(tampering, published_copy)


def test_a_cache_that_is_believed_is_missed(published_copy, monkeypatch):
    whole = dvc.ask

    def trusting():
        answer = whole()
        for state in answer.stages.values():
            state.broken.clear()
        return answer

    monkeypatch.setattr(dvc, "ask", trusting)
    assert not is_named("DVC's cached images, made read-only again", published_copy)


def test_digests_that_are_believed_are_missed(published_copy, monkeypatch):
    """The mutant that hashes nothing anew, and takes what is recorded for what is there."""
    recorded = {}
    for manifest in published_copy.glob("**/manifest.json"):
        recorded |= json.loads(manifest.read_text())["files"]
    whole = Evidence.__init__

    def trusting(self):
        whole(self)
        hashed = self.content
        self.content = lambda path: recorded.get(path.as_posix()) or hashed(path)

    monkeypatch.setattr(Evidence, "__init__", trusting)
    assert not is_named("a weight, by one bit", published_copy)


def test_images_that_are_not_compared_are_missed(published_copy, monkeypatch):
    def failures():
        findings = Auditor(20).audit(CELL).findings
        return [f for f in findings if (f.check, f.severity) == ("redrawn", Severity.FAILED)]

    TAMPERINGS["one pixel, and the manifest made to fit"][0](published_copy)
    assert failures()
    monkeypatch.setattr(replay, "compared", nothing)
    assert not failures()


def test_a_stage_that_is_not_compared_is_missed(published_copy, monkeypatch):
    def failures():
        findings = Auditor(deep=True).audit(CELL).findings
        return [f for f in findings if (f.check, f.severity) == ("deep", Severity.FAILED)]

    TAMPERINGS[f"{METRICS}, confidence"][0](published_copy)
    assert [f.item for f in failures()] == [f"{METRICS}: confidence"]
    monkeypatch.setattr(replay, "_contents", lambda _: {})
    assert not failures()


def signed_findings():
    findings = auditor.signature(Path("../signers")).findings
    return {f.item for f in findings if f.severity == Severity.FAILED}


def test_a_signature_whose_files_are_not_hashed_is_missed(signed_copy, monkeypatch):
    one_pixel(signed_copy)
    bless(signed_copy)
    relock(signed_copy)
    assert MANIFEST in signed_findings()
    content = json.loads(base64.b64decode(json.loads(signature.SIGNATURE.read_text())["payload"]))
    recorded = {one["name"]: one["digest"]["sha256"] for one in content["subject"]}
    monkeypatch.setattr(signature, "file_digest", lambda path: recorded.get(str(path)))
    assert MANIFEST not in signed_findings()


def test_a_signature_that_is_anyones_is_missed(signed_copy, monkeypatch):
    signature.write_signed(signature.statement(), Path("../mallory"))
    assert signed_findings() == {str(signature.SIGNATURE)}
    monkeypatch.setattr(signature, "_who", lambda *_: "anyone")
    assert not signed_findings()
