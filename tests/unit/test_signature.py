"""What was signed is found changed, however well all else was made to fit."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tamperings import (
    CELL,
    MANIFEST,
    METRICS,
    MODEL,
    SAMPLES,
    edit_json,
    one_pixel,
    put,
    republish,
    set_key,
)
from test_audit_tampering import bless, relock

from mnist_diffusion.audit.auditor import Auditor, signature
from mnist_diffusion.audit.output import Severity
from mnist_diffusion.audit.signature import SIGNATURE, statement, write_signed
from mnist_diffusion.runtime.errors import UserError

PAGE = "reports/README.md"
SIGNERS = Path("../signers")
FAILED, UNVERIFIED = Severity.FAILED, Severity.UNVERIFIED


def found(signers=SIGNERS):
    """What the signature tells: severity and item of everything but the note."""
    findings = signature(signers).findings
    return {(f.severity, f.item) for f in findings if f.severity != Severity.NOTE}


def cli(*arguments):
    command = [sys.executable, "-m", "mnist_diffusion", *arguments]
    clean = {k: v for k, v in os.environ.items() if k != "DVC_ROOT"} | {"PYTHONPATH": "src"}
    return subprocess.run(command, env=clean, capture_output=True, text=True)


def test_what_is_as_it_was_signed_is_proven(signed_copy):
    done = cli("audit", CELL, "--signature", "../signers")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "signature for alice@example.org with ED25519 key SHA256:" in done.stdout
    put(signed_copy / PAGE, b"")
    edit_json(signed_copy / SIGNATURE, lambda one: one.update(payload=""))
    told = json.loads(cli("audit", CELL, "--signature", "../signers", "--json").stdout)
    assert told["cells"][CELL]["verdict"] == "proven"
    assert told["signature"]["verdict"] == told["verdict"] == "failed"


def test_programs_of_others_verify_it(signed_copy, tmp_path):
    """DSSE by the letter of its protocol.md, ssh-keygen and sha256sum: nothing of ours."""
    envelope = json.loads(SIGNATURE.read_text())
    body, kind = base64.b64decode(envelope["payload"]), b"application/vnd.in-toto+json"
    assert envelope["payloadType"].encode() == kind
    pae = b" ".join([b"DSSEv1", str(len(kind)).encode(), kind, str(len(body)).encode(), body])
    [one] = envelope["signatures"]
    ends = ("-----BEGIN SSH SIGNATURE-----", one["sig"], "-----END SSH SIGNATURE-----", "")
    (tmp_path / "sig").write_text("\n".join(ends))
    signers = ("-f", SIGNERS, "-I", "alice@example.org", "-n", "mnist-diffusion")
    check = ["ssh-keygen", "-Y", "verify", *signers, "-s", tmp_path / "sig"]
    assert subprocess.run(check, input=pae).returncode == 0
    assert subprocess.run(check, input=pae + b" ").returncode != 0

    told = json.loads(body)
    assert told["_type"] == "https://in-toto.io/Statement/v1"
    assert told["predicateType"] == "https://slsa.dev/provenance/v1"
    went_in = told["predicate"]["buildDefinition"]["resolvedDependencies"]
    sums = {one["name"]: one["digest"]["sha256"] for one in [*told["subject"], *went_in]}
    lines = "".join(f"{digest}  {name}\n" for name, digest in sums.items())
    subprocess.run(["sha256sum", "--check", "--quiet"], input=lines, text=True, check=True)
    left = {one["name"] for one in told["subject"]}
    for pattern in ("data/samples/*/*", "models/*/*", "reports/*/*", "reports/*.*", "dvc.lock"):
        files = {path.as_posix() for path in Path().glob(pattern) if path.is_file()}
        assert files - {str(SIGNATURE), "reports/.gitignore"} <= left  # hidden files are git's
    assert {"params.yaml", "dvc.yaml", "data/raw/train-labels-idx1-ubyte"} <= sums.keys() - left


def test_a_cell_that_was_made_to_fit_everywhere_is_found(signed_copy):
    """The forger of test_audit_tampering, whom nothing but drawing again found."""
    one_pixel(signed_copy)
    bless(signed_copy)
    relock(signed_copy)
    assert FAILED not in {f.severity for f in Auditor().audit(CELL).findings}
    named = {f"{SAMPLES}/images.npy", MANIFEST, METRICS, "dvc.lock"}
    assert {(FAILED, name) for name in named} <= found()


def test_a_manifest_that_was_made_to_fit_everywhere_is_found(signed_copy):
    """Its environment is held against nothing by the audit."""
    edit_json(signed_copy / MANIFEST, set_key("environment/torch", "1.0"))
    republish(signed_copy)
    bless(signed_copy)
    relock(signed_copy)
    assert FAILED not in {f.severity for f in Auditor().audit(CELL).findings}
    assert (FAILED, MANIFEST) in found()


def test_a_page_that_was_edited_and_committed_to_dvc_is_found(signed_copy):
    page = signed_copy / PAGE
    put(page, page.read_bytes().replace(b"1", b"0"))
    shutil.rmtree(signed_copy / ".dvc/cache")
    relock(signed_copy)
    assert Auditor().report().code == 0
    assert found() == {(FAILED, PAGE), (FAILED, "dvc.lock")}


WENT_IN = ("params.yaml", "dvc.yaml", ".code/sample.json", "data/raw/train-labels-idx1-ubyte")
LEFT = (f"{MODEL}/weights.safetensors", f"{MODEL}/betas.npy", f"reports/timings/sample@{CELL}.json")


@pytest.mark.parametrize("path", [*WENT_IN, *LEFT])
def test_one_bit_of_what_went_in_or_was_left_is_found(signed_copy, path):
    content = (signed_copy / path).read_bytes()
    put(signed_copy / path, content[:-1] + bytes([content[-1] ^ 1]))
    assert found() == {(FAILED, path)}


def test_a_file_that_is_not_there_or_was_added_is_named(signed_copy):
    (signed_copy / METRICS).unlink()
    shutil.rmtree(signed_copy / MODEL)
    added = signed_copy / "data/samples/added"
    added.mkdir()
    np.save(added / "images.npy", np.zeros((1, 28, 28), dtype=np.uint8))
    os.mkfifo(added / "pipe")
    (added / ".DS_Store").write_bytes(b"a desktop's own")
    told = found()
    assert {severity for severity, _ in told} == {UNVERIFIED}
    names = {name for _, name in told}
    assert {
        METRICS,
        f"{MODEL}/manifest.json",
        f"{added.relative_to(signed_copy)}/images.npy",
    } < names
    assert not any("pipe" in name or "DS_Store" in name for name in names)


def test_without_a_signature_or_signers_nothing_is_verified(signed_copy):
    with pytest.raises(UserError, match="nobody: not there; name a file of allowed signers"):
        signature(Path("nobody"))
    SIGNATURE.unlink()
    assert found() == {(UNVERIFIED, str(SIGNATURE))}


def test_a_key_that_is_not_named_does_not_count(signed_copy):
    """Mallory makes all fit, and signs it."""
    write_signed(statement(), Path("../mallory"))
    assert found() == {(FAILED, str(SIGNATURE))}
    mallory = " ".join(Path("../mallory.pub").read_text().split()[:2])
    for line, code in (
        (f"mallory {mallory}", 0),
        (f'mallory namespaces="file,mnist-diffusion" {mallory}', 0),
        (f'mallory namespaces="git" {mallory}', 1),
        (f'mallory valid-before="20200101" {mallory}', 1),
    ):
        Path("../other").write_text(line + "\n")
        assert signature(Path("../other")).code == code


def other_statement(envelope):
    content = json.loads(base64.b64decode(envelope["payload"]))
    content["subject"][0]["digest"]["sha256"] = hashlib.sha256(b"forged").hexdigest()
    envelope["payload"] = base64.b64encode(json.dumps(content).encode()).decode()


@pytest.mark.parametrize(
    "change",
    [
        other_statement,
        lambda envelope: envelope.update(payloadType="text/plain"),
        lambda envelope: envelope["signatures"].clear(),
        lambda envelope: envelope["signatures"][0].update(sig="AAAA"),
        lambda envelope: envelope["signatures"][0].update(sig="no base64"),
        lambda envelope: envelope.pop("payload"),
    ],
)
def test_an_envelope_that_was_changed_fails(signed_copy, change):
    edit_json(SIGNATURE, change)
    assert found() == {(FAILED, str(SIGNATURE))}


@pytest.mark.parametrize("change", [{"_type": "x"}, {"predicateType": "x"}])
def test_another_statement_that_was_signed_fails(signed_copy, change):
    write_signed(statement() | change, Path("../alice"))
    assert found() == {(FAILED, str(SIGNATURE))}


def test_signing_twice_makes_the_same_bytes(signed_copy):
    before = SIGNATURE.read_bytes()
    SIGNATURE.unlink()
    write_signed(statement(), Path("../alice"))
    assert SIGNATURE.read_bytes() == before


def test_what_is_not_proven_is_not_signed(signed_copy):
    SIGNATURE.unlink()
    one_pixel(signed_copy)
    done = cli("sign", "../alice")
    assert done.returncode == 1
    assert "error: sign: not all of it is proven" in done.stderr
    assert not SIGNATURE.exists()


@pytest.mark.parametrize("key", ["signers", "nowhere"])
def test_what_is_no_key_is_refused_in_one_line(signed_copy, key):
    with pytest.raises(UserError, match=rf"{key}: .*; name another key, or make one") as refused:
        write_signed(statement(), Path("..") / key)
    assert "\n" not in str(refused.value)
