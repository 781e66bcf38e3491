"""What is as it was published is proven, and the audit says so to people and to scripts."""

import io
import json
import re

import pytest
from audited import CELLS
from rich.console import Console
from tamperings import CELL, put

from mnist_diffusion.audit import printing, redrawing
from mnist_diffusion.audit.auditor import Auditor
from mnist_diffusion.audit.command import audit, chosen
from mnist_diffusion.audit.dvcfiles import members
from mnist_diffusion.audit.evidence import Evidence
from mnist_diffusion.audit.findings import Severity
from mnist_diffusion.audit.portrait import diff, show
from mnist_diffusion.audit.redrawing import Choice
from mnist_diffusion.runtime.errors import UserError


def test_no_false_alarm_on_any_cell(published_copy):
    auditor = Auditor()
    for cell in CELLS:
        checked = auditor.audit(cell)
        assert checked.findings == []
        assert checked.code == 0
        assert min(checked.checks.values()) > 0


def test_json_holds_every_cell_and_check(published_copy, capsys):
    assert audit(all_=True, as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] == "proven"
    assert sorted(told["cells"]) == sorted(CELLS)
    assert told["cells"][CELL]["checks"]["images"] == 1
    assert told["report"]["verdict"] == "proven"


def test_people_read_one_line_a_cell(published_copy, capsys):
    assert audit(list(CELLS)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["cell", "verdict"]
    assert [line.split() for line in lines[1:-2]] == [[c, "proven"] for c in (*CELLS, "report")]
    assert "--regenerate 3" in lines[-2]
    assert lines[-1] == "3 cells: 3 proven"


def test_names_are_whole_and_lines_fit(published_copy):
    tables = published_copy / "reports/tables/cells.csv"
    put(tables, tables.read_bytes() + b"\n")
    put(published_copy / f"data/samples/{CELL}/images.npy", b"")
    auditor = Auditor()
    checked, report = [auditor.audit(cell) for cell in CELLS], auditor.report()
    for width in (50, 80, 120):
        console = Console(file=io.StringIO(), width=width)
        printing.show(checked, report, console)
        lines = console.file.getvalue().splitlines()
        first = next(k for k, line in enumerate(lines) if line.startswith("failed "))
        assert max(map(len, lines[:first])) <= width
        assert {line.split()[0] for line in lines[1:first] if line[0] != " "} == {*CELLS, "report"}
        assert not any(re.search("[0-9a-f]{13}", line) for line in lines)
        assert lines[-1] == "3 cells: 2 proven, 1 failed; report failed"


def test_images_are_drawn_again_bit_for_bit(published_copy):
    findings = Auditor(Choice(5)).audit(CELL).findings
    assert [(f.severity, f.check) for f in findings] == [(Severity.NOTE, "redrawn")]
    assert "bit for bit the same: images" in findings[0].text


def test_the_images_to_draw_follow_from_the_seed():
    def drawn(seed, digest="ab"):
        return redrawing.chosen(Choice(5, seed), digest, 100)

    assert drawn(1) == drawn(1, "cd") == drawn(1) != drawn(2)
    assert drawn(None) == drawn(None) != drawn(None, "cd")
    assert len({*drawn(None)}) == 5
    assert redrawing.chosen(Choice(5), "ab", 3) == [0, 1, 2]


@pytest.mark.faults
def test_a_whole_set_and_its_scores_are_made_again(published_copy):
    findings = Auditor(whole=True).audit(CELL).findings
    assert {(f.severity, f.check) for f in findings} == {(Severity.NOTE, "deep")}
    assert [f.text for f in findings] == [
        "drawn again, bit for bit the same: 20 images",
        "judged again, every score the same",
    ]


def test_hashes_are_those_that_dvc_has_written(published):
    """Of every file and folder that DVC's own lock names, source folders with caches included."""
    (published / "src/mnist_diffusion/sampling/__pycache__").mkdir(exist_ok=True)
    put(published / "src/mnist_diffusion/sampling/__pycache__/x.pyc", b"ignored")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(published)
        evidence = Evidence()
        stages = evidence.lock.values()
        entries = {e["path"]: e["md5"] for s in stages for e in [*s["deps"], *s["outs"]]}
        here = {path: evidence.md5(published / path) for path in entries}
    assert here == entries
    assert sum(md5.endswith(".dir") for md5 in entries.values()) > 10


def test_ignored_files_have_no_part_in_a_folder(published, monkeypatch):
    monkeypatch.chdir(published)
    names = dict(members(published / "src/mnist_diffusion/sampling"))
    assert sorted(names) == ["__init__.py", "denoiser.py", "draw.py"]


@pytest.mark.parametrize("cells", [["../x"], ["-x"], ["a;touch c"], ["cosine-clas"], ["/etc"]])
def test_a_cell_that_is_nowhere_is_refused(published_copy, cells):
    with pytest.raises(UserError, match=r"is not in params\.yaml"):
        chosen(cells, all_=False)


@pytest.mark.parametrize(("cells", "all_"), [([], False), ([CELL], True)])
def test_either_cells_or_all(published_copy, cells, all_):
    with pytest.raises(UserError, match="give the names of cells, or --all"):
        chosen(cells, all_)


def test_show_says_it_all_on_one_screen(published_copy, capsys):
    assert show(CELL) == 0
    told = capsys.readouterr().out
    manifest = json.loads((published_copy / f"data/samples/{CELL}/manifest.json").read_text())
    sidecar = json.loads((published_copy / f"reports/timings/sample@{CELL}.json").read_text())
    score = json.loads((published_copy / f"reports/metrics/{CELL}.json").read_text())["relative_fd"]
    words = " ".join(told.split())
    assert len(told.splitlines()) <= 40
    assert manifest["inputs"]["weights_sha256"][:12] in words
    assert manifest["inputs"]["train_images_sha256"][:12] in words
    assert f"guidance {manifest['parameters']['guidance']:g}" in words
    assert sidecar["git_commit"] in words
    assert sidecar["finished"] in words
    assert manifest["code"]["sha256"][:12] in words
    assert f"relative_fd {100 * score:.4g} %" in words
    assert "experiment mnist-diffusion/cells" in words


def test_show_survives_without_mlflow_and_sidecar(published_copy, capsys):
    (published_copy / "mlflow.db").unlink()
    (published_copy / f"reports/timings/sample@{CELL}.json").unlink()
    assert show(CELL) == 0
    assert "unknown" in capsys.readouterr().out
    assert not (published_copy / "mlflow.db").exists()


def test_diff_tells_what_differs_and_nothing_else(published_copy, capsys):
    assert diff("cosine-class", CELL) == 0
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()[1:]}
    assert rows["guidance"] == ["1", "2"]
    assert list(rows)[:2] == ["guidance", "relative_fd"]
    assert not rows.keys() & {"sampler", "run", "source", "n"}


def test_diff_of_a_cell_with_itself(published_copy, capsys):
    assert diff(CELL, CELL) == 0
    assert "nothing differs" in capsys.readouterr().out


@pytest.mark.parametrize("command", [show, lambda cell: diff(cell, CELL)])
@pytest.mark.parametrize("key", [None, "parameters", "code", "inputs", "environment"])
def test_a_broken_manifest_is_refused_in_one_line(published_copy, command, key):
    path = published_copy / f"data/samples/{CELL}/manifest.json"
    content = json.loads(path.read_text())
    put(path, json.dumps(content | {key: []} if key else []).encode())
    with pytest.raises(UserError, match="not a manifest"):
        command(CELL)


@pytest.mark.parametrize("key", ["intervals", "second", "made_from"])
def test_broken_metrics_are_told_in_one_line(published_copy, capsys, key):
    path = published_copy / f"reports/metrics/{CELL}.json"
    put(path, json.dumps(json.loads(path.read_text()) | {key: 3}).encode())
    assert show(CELL) == 0
    assert "not metrics of this version" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(UserError, match="not metrics of this version"):
        diff(CELL, "cosine-class")


def test_scores_of_other_images_are_not_shown_as_these(published_copy, capsys):
    metrics = published_copy / "reports/metrics"
    report = json.loads((metrics / f"{CELL}.json").read_text())
    report["made_from"][f"sample@{CELL}"] = "0" * 64
    put(metrics / f"{CELL}.json", json.dumps(report).encode())
    assert show(CELL) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "tells of other images than are here" in told
    assert f"{100 * report['relative_fd']:.4g} %" not in told
