"""Every tampering is found, and named."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from audited import COUNT, commit
from tamperings import (
    CELL,
    CLAIMS,
    COMPARISONS,
    FEW,
    MANIFEST,
    METRICS,
    MODEL,
    RANKS,
    RUN,
    SAMPLES,
    TAMPERINGS,
    TSTR,
    edit_json,
    edit_yaml,
    one_pixel,
    put,
    republish,
    set_key,
)

from mnist_diffusion.audit import replay
from mnist_diffusion.audit.auditor import Auditor
from mnist_diffusion.audit.output import Severity, together
from mnist_diffusion.provenance.digests import content_digest


def found(severity=Severity.FAILED, auditor=None, cell=CELL):
    auditor = auditor or Auditor()
    checked, report = auditor.audit(cell), auditor.report()
    findings = [*checked.findings, *report.findings]
    return together([checked, report]).code, [f for f in findings if f.severity == severity]


QUICK = {
    "a hidden file added to a model",
    "a file replaced by a link to its copy",
    "a weight, by one bit",
    "a weight of a snapshot, by one bit",
    "a weight of a student, by one bit",
    f"{MANIFEST}, parameters/cell/guidance",
    f"{METRICS}, fd",
    f"{TSTR}, made_from/sample@{RUN}",
    "DVC's cached images, made read-only again",
    "a number of a table",
    "a page of the report",
    "the page that draws",
    "the MD5 of the set in dvc.lock",
    "a parameter in params.yaml",
    "the headline of the report in params.yaml",
    "another command in dvc.yaml",
    "a metric in MLflow",
    "the last loss of a student in MLflow",
}
"""One of each kind; tests/faults does them all, to a whole repository."""


@pytest.mark.parametrize("name", sorted(QUICK))
def test_a_tampering_is_named(published_copy, name):
    tamper, item = TAMPERINGS[name]
    tamper(published_copy)
    auditor = Auditor()
    checked = [auditor.audit(CELL), auditor.audit(FEW), auditor.report()]
    assert together(checked).code == 1
    findings = [finding for one in checked for finding in one.findings]
    assert any(f.severity == Severity.FAILED and item in f.item for f in findings), findings


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("one pixel", "images.npy: image 17: not what was published there"),
        ("two images swapped", "images.npy: image 3: not what was published there"),
        ("an image relabelled", "images.npy: image 5: not what was published there"),
    ],
)
def test_an_image_is_told_by_its_number(published_copy, name, text):
    TAMPERINGS[name][0](published_copy)
    assert f"{SAMPLES}/{text}" in [f"{failure.item}: {failure.text}" for failure in found()[1]]


@pytest.mark.parametrize(
    ("name", "code"), [("a number of a table", 1), ("a page of the report", 1), ("one pixel", 0)]
)
def test_other_cells_are_not_blamed(published_copy, name, code):
    TAMPERINGS[name][0](published_copy)
    auditor = Auditor()
    assert auditor.audit("cosine-class").code == 0
    assert auditor.report().code == code


def bless(root):
    """What a forger can do who knows the pipeline: every file that names the set is made to fit."""
    forged = {f"sample@{CELL}": MANIFEST, METRICS: METRICS, COMPARISONS: COMPARISONS}

    def refit(told):
        named = forged.keys() & told["made_from"]
        told["made_from"] |= {source: content_digest(root / forged[source]) for source in named}

    republish(root)
    for report in (COMPARISONS, RANKS, CLAIMS):
        edit_json(root / report, refit)
    for name in ("sample", "evaluate"):
        shutil.rmtree(root / ".dvc/cache")
        (root / ".dvc/cache").mkdir()
        (root / f"reports/timings/{name}@{CELL}.json").unlink()
    (root / "mlflow.db").unlink()


def relock(root, *paths):
    """What `dvc commit` does: dvc.lock tells of what is here."""
    dvc = Path(sys.executable).with_name("dvc")
    subprocess.run([dvc, "commit", "--force", "--quiet", *paths], cwd=root, check=True)


def test_who_rewrites_everything_is_told_by_drawing_again(published_copy):
    one_pixel(published_copy)
    bless(published_copy)
    relock(published_copy)
    assert found()[0] == 2  # no sidecar, so no commit; nothing else is wrong
    code, failures = found(auditor=Auditor(20))
    assert code == 1
    assert [f.item for f in failures] == [f"{SAMPLES}/images.npy: image 17"]


def test_a_page_that_was_edited_and_committed_to_dvc_is_told_by_rendering_it(published_copy):
    page = published_copy / "reports/README.md"
    assert [f.severity for f in Auditor(whole=True).report().findings] == [Severity.NOTE]
    put(page, page.read_bytes().replace(b"1", b"0"))
    shutil.rmtree(published_copy / ".dvc/cache")
    relock(published_copy)
    assert Auditor().report().code == 0
    checked = Auditor(whole=True).report()
    assert [(f.severity, f.item) for f in checked.findings] == [
        (Severity.FAILED, "reports/README.md")
    ]


def test_pages_of_other_source_are_not_verified(published_copy):
    path = published_copy / "src/mnist_diffusion/reporting/tables.py"
    put(path, path.read_bytes() + b"MORE = 1\n")
    report = Auditor().report()
    assert report.code == 2
    assert {f.item for f in report.findings} == {".code/report.json: code"}
    put(path, path.read_bytes().replace(b"MORE = 1\n", b"# a comment\n"))
    assert Auditor().report().code == 0


@pytest.mark.parametrize(
    ("address", "part", "item"),
    [
        ("report", "outs", "reports/index.html"),
        (f"sample@{CELL}", "deps", MODEL),
        (f"train@{RUN}", "params", f"runs.{RUN}"),
        ("compare", None, "dvc.lock: compare"),
    ],
)
def test_what_was_taken_out_of_the_lock_is_not_verified(published_copy, address, part, item):
    def change(lock):
        stage = lock["stages"]
        del (stage[address] if part else stage)[part or address]

    edit_yaml(published_copy / "dvc.lock", change)
    told = found(Severity.UNVERIFIED)[1]
    assert any(one.item.startswith("dvc.lock") and item in one.item for one in told), told


def test_a_cell_that_is_not_declared_any_more_is_told_with_prune(published_copy):
    def change(params):
        del params["cells"][CELL]
        params["tables"] = {k: {"cells": [RUN], "baselines": [RUN]} for k in params["tables"]}
        params["report"]["headline"] = RUN

    edit_yaml(published_copy / "params.yaml", change)
    told = found(Severity.UNVERIFIED)[1]
    assert any(f.item == f"dvc.yaml: sample@{CELL}" and "prune" in f.text for f in told), told


def test_what_dvc_ignores_is_no_part_of_a_set(published_copy):
    (published_copy / SAMPLES / ".DS_Store").write_bytes(b"a desktop's own")
    assert found()[0] == 0


@pytest.mark.faults
def test_who_rewrites_everything_is_told_by_drawing_all_again(published_copy):
    one_pixel(published_copy)
    bless(published_copy)
    failures = found(auditor=Auditor(deep=True))[1]
    assert f"{MANIFEST}: outputs.images_sha256" in [f.item for f in failures]


@pytest.mark.parametrize(
    ("change", "severity", "told"),
    [
        (0, Severity.NOTE, "drawn on another numerics, bit for bit the same"),
        (1, Severity.ROUNDED, "drawn on another numerics: 1 of 255 at most, 0.01% of the pixels"),
        (3, Severity.FAILED, "not what its weights draw, by 3 of 255 at a pixel"),
    ],
)
def test_on_another_machine_images_may_differ_by_rounding(
    published_copy, monkeypatch, change, severity, told
):
    real = replay.environment
    monkeypatch.setattr(replay, "environment", lambda d: real(d) | {"numerics": "another"})
    path = published_copy / SAMPLES / "images.npy"
    images = np.load(path)
    images[3, 0, 0] += change if images[3, 0, 0] < 128 else -change
    path.unlink()  # the copy is of links
    np.save(path, images)
    checked = Auditor(COUNT).audit(CELL)
    (drawn,) = [f for f in checked.findings if f.check == "redrawn"]
    assert (drawn.severity, drawn.text[: len(told)]) == (severity, told)


def test_parameters_come_from_the_manifest_when_drawing_again(published_copy):
    edit_yaml(published_copy / "params.yaml", set_key(f"cells/{CELL}/guidance", 5.0))
    findings = Auditor(3).audit(CELL).findings
    assert [f.severity for f in findings if f.check == "redrawn"] == [Severity.NOTE]


def test_other_source_is_not_failed_and_not_proven(published_copy):
    def change(code):
        code["files"]["mnist_diffusion/sampling/draw.py"] = "0" * 64

    edit_json(published_copy / MANIFEST, lambda manifest: change(manifest["code"]))
    told = [f for f in found(Severity.UNVERIFIED)[1] if f.item == f"{MANIFEST}: code"]
    assert "made by other source than is here: mnist_diffusion/sampling/draw.py" in told[0].text


def sidecar(root):
    return root / f"reports/timings/sample@{CELL}.json"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda path: path.unlink(), "not there, so that the commit is unknown"),
        (lambda path: edit_json(path, set_key("git_commit", None)), "made outside of git"),
        (lambda path: edit_json(path, set_key("git_commit", "0" * 40)), "no commit 0000000000"),
        (lambda path: edit_json(path, set_key("git_commit", "--help")), "no commit --help"),
    ],
)
def test_an_unknown_commit_is_not_verified(published_copy, change, text):
    change(sidecar(published_copy))
    code, told = found(Severity.UNVERIFIED)
    assert code == 2
    assert text in told[0].text


def test_params_of_the_wrong_commit_are_told(published_copy):
    edit_yaml(published_copy / "params.yaml", set_key(f"cells/{CELL}/guidance", 4.0))
    other = commit(published_copy, "another guidance")
    edit_yaml(published_copy / "params.yaml", set_key(f"cells/{CELL}/guidance", 2.0))
    edit_json(sidecar(published_copy), set_key("git_commit", other))
    code, [failure] = found()
    assert code == 1
    assert failure.item == f"{MANIFEST}: cells.{CELL}.guidance"
    assert (failure.expected, failure.found) == ("4.0", "2.0")
    assert other[:10] in failure.text


def test_a_commit_is_read_where_the_stage_reads_it(published_copy):
    """A key of a section that the stages do not read may be of another version."""
    params = published_copy / "params.yaml"
    here = params.read_text()
    edit_yaml(params, set_key("claims/no-mode-collapse/formerly", 1))
    of_another_version = commit(published_copy, "as an earlier version wrote it")
    edit_yaml(params, set_key(f"cells/{CELL}/guidance", 4.0))
    of_another_guidance = commit(published_copy, "and another guidance")
    params.write_text(here)
    edit_json(sidecar(published_copy), set_key("git_commit", of_another_version))
    assert found() == (0, [])
    edit_json(sidecar(published_copy), set_key("git_commit", of_another_guidance))
    assert found()[1][0].item == f"{MANIFEST}: cells.{CELL}.guidance"


def test_source_of_the_wrong_commit_is_told(published_copy):
    path = published_copy / "src/mnist_diffusion/sampling/draw.py"
    text = path.read_text()
    path.unlink()
    path.write_text(text + "MORE = 1\n")
    other = commit(published_copy, "another source")
    path.write_text(text)
    edit_json(sidecar(published_copy), set_key("git_commit", other))
    assert "mnist_diffusion/sampling/draw.py" in found()[1][0].text


@pytest.mark.parametrize(
    "path", [SAMPLES, MODEL, "data/prepared", "models/autoencoder", "dvc.lock", METRICS]
)
def test_what_is_not_there_at_all_is_not_verified(published_copy, path):
    place = published_copy / path
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    code, told = found(Severity.UNVERIFIED)
    assert code == 2 or path in ("dvc.lock", METRICS), found()
    assert any(path in one.item for one in told)


NOTES = {
    "made with changes not in commit": lambda root: edit_json(
        sidecar(root), set_key("git_dirty", True)
    ),
    # after a parameter was changed and changed back
    "DVC took this one from its cache, so that the commit is unknown": lambda root: edit_json(
        sidecar(root), set_key("manifest_sha256", "ab" * 32)
    ),
    "track --sync": lambda root: (root / "mlflow.db").unlink(),
    "cannot be asked": lambda root: put(root / "mlflow.db", bytes(range(256)) * 20),
}


@pytest.mark.parametrize("text", NOTES)
def test_a_note_leaves_a_proof_standing(published_copy, text):
    NOTES[text](published_copy)
    code, notes = found(Severity.NOTE)
    assert code == 0
    assert text in notes[0].text
