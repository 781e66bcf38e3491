"""What is as it was published is proven, and the audit says so to people and to scripts."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from audited import CELLS
from rich.console import Console
from tamperings import CELL, SAMPLES, put
from typer import Exit

from mnist_diffusion.audit import replay
from mnist_diffusion.audit.auditor import Auditor, audit, chosen_cells
from mnist_diffusion.audit.output import Checked, Severity, failed, note, print_audit
from mnist_diffusion.audit.show import diff, show
from mnist_diffusion.runtime.errors import UserError

DVC = Path(sys.executable).with_name("dvc")


def test_json_holds_every_cell_and_check(published_copy, capsys):
    with pytest.raises(Exit, match="0"):
        audit(every=True, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] == "proven"
    assert sorted(told["cells"]) == sorted(CELLS)
    for audited in told["cells"].values():
        assert audited["findings"] == []  # no false alarm
        assert min(audited["checks"].values()) > 0
    assert told["cells"][CELL]["checks"]["images"] == 1
    assert told["report"]["verdict"] == "proven"


def test_people_read_one_line_a_cell(published_copy, capsys):
    with pytest.raises(Exit, match="0"):
        audit(list(CELLS))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["cell", "verdict"]
    assert [line.split() for line in lines[1:-2]] == [[c, "proven"] for c in (*CELLS, "report")]
    assert "--regenerate 3" in lines[-2]
    assert lines[-1] == f"{len(CELLS)} cells: {len(CELLS)} proven"


def test_names_are_whole_and_lines_fit(published_copy):
    tables = published_copy / "reports/tables/cells.csv"
    put(tables, tables.read_bytes() + b"\n")
    put(published_copy / f"data/samples/{CELL}/images.npy", b"")
    auditor = Auditor()
    checked, report = [auditor.audit(cell) for cell in CELLS], auditor.report()
    for width in (50, 80, 120):
        console = Console(file=io.StringIO(), width=width)
        print_audit(checked, report, console=console)
        lines = console.file.getvalue().splitlines()
        first = next(k for k, line in enumerate(lines) if line.startswith("failed "))
        assert max(map(len, lines[:first])) <= width
        assert {line.split()[0] for line in lines[1:first] if line[0] != " "} == {*CELLS, "report"}
        assert not any(re.search("[0-9a-f]{13}", line) for line in lines)
        proven = f"{len(CELLS)} cells: {len(CELLS) - 1} proven"
        assert lines[-1] == f"{proven}, 1 failed; report failed"


def test_of_many_files_with_one_note_one_is_named_and_all_with_one_fault():
    """Fault: of sidecars from a changed git tree, ten files were listed."""
    places = [f"reports/timings/train@{name}.json" for name in "abcd"]
    notes = [note(place, "made with changes") for place in places]
    console = Console(file=io.StringIO(), width=300)
    faults = [failed(place, "not what was published") for place in places]
    print_audit([Checked("cosine", [*notes, *faults])], Checked("report", notes), console=console)
    told = [line for line in console.file.getvalue().splitlines() if places[0] in line]
    assert told == [
        f"failed {', '.join(places)}: not what was published",
        f"note {places[0]} and 3 more: made with changes",
    ]


DRAWN_AGAIN = (CELL, "cosine-class-g2-snapshot", "latent-class", "grid", "inpaint", "few-2")


@pytest.mark.parametrize("cell", DRAWN_AGAIN)
def test_images_are_drawn_again_bit_for_bit(published_copy, cell):
    findings = Auditor(5).audit(cell).findings
    assert [(f.severity, f.check) for f in findings] == [(Severity.NOTE, "redrawn")]
    assert "bit for bit the same: images" in findings[0].text


def test_the_images_to_draw_follow_from_the_seed():
    def drawn(seed):
        return replay.chosen(5, 100, seed)

    assert drawn(1) == drawn(1) != drawn(2)
    assert drawn("ab") == drawn("ab") != drawn("cd")
    assert len({*drawn("ab")}) == 5
    assert replay.chosen(5, 3, "ab") == [0, 1, 2]


def test_files_that_are_links_into_the_cache_are_as_good_as_copies(published_copy):
    for command in (["config", "cache.type", "symlink"], ["checkout", "--relink", "--quiet"]):
        subprocess.run([DVC, *command], check=True)
    assert (published_copy / SAMPLES / "images.npy").is_symlink()
    assert Auditor().audit(CELL).findings == []


@pytest.mark.parametrize("cells", [["../x"], ["-x"], ["a;touch c"], ["cosine-clas"], ["/etc"]])
def test_a_cell_that_is_nowhere_is_refused(published_copy, cells):
    with pytest.raises(UserError, match=r"is not in params\.yaml"):
        chosen_cells(cells)


def test_either_cells_or_all(published_copy):
    with pytest.raises(UserError, match="give the names of cells, or --all"):
        audit([CELL], every=True)


def test_show_says_it_all_on_one_screen(published_copy, capsys):
    show(CELL)
    told = capsys.readouterr().out
    manifest = json.loads((published_copy / f"data/samples/{CELL}/manifest.json").read_text())
    sidecar = json.loads((published_copy / f"reports/timings/sample@{CELL}.json").read_text())
    score = json.loads((published_copy / f"reports/metrics/{CELL}.json").read_text())["relative_fd"]
    words = " ".join(told.split())
    assert len(told.splitlines()) <= 40
    assert manifest["inputs"]["weights_sha256"][:12] in words
    assert manifest["inputs"]["train_images_sha256"][:12] in words
    assert f"guidance {manifest['parameters']['cell']['guidance']}" in words
    assert sidecar["git_commit"] in words
    assert sidecar["finished"] in words
    assert manifest["code"]["sha256"][:12] in words
    assert f"relative_fd {100 * score:.2f} %" in words
    assert "MLflow run " in words


def test_show_survives_without_mlflow_and_sidecar(published_copy, capsys):
    (published_copy / "mlflow.db").unlink()
    (published_copy / f"reports/timings/sample@{CELL}.json").unlink()
    show(CELL)
    assert "unknown" in capsys.readouterr().out
    assert not (published_copy / "mlflow.db").exists()


def test_diff_tells_what_differs_and_nothing_else(published_copy, capsys):
    diff("cosine-class", CELL)
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()[1:]}
    assert rows["cell.guidance"] == ["1", "2"]
    assert list(rows)[:2] == ["cell.guidance", "fd_infinity"]
    assert not rows.keys() & {"cell.sampler", "cell.run", "source"}
    diff(CELL, CELL)
    assert "nothing differs" in capsys.readouterr().out


@pytest.mark.parametrize("command", [show, lambda cell: diff(cell, CELL)])
@pytest.mark.parametrize("key", [None, "parameters", "code", "inputs", "environment"])
def test_a_broken_manifest_is_refused_in_one_line(published_copy, command, key):
    path = published_copy / f"data/samples/{CELL}/manifest.json"
    content = json.loads(path.read_text())
    put(path, json.dumps(content | {key: []} if key else []).encode())
    with pytest.raises(UserError, match="delete it and run"):
        command(CELL)


@pytest.mark.parametrize("key", ["intervals", "second", "made_from"])
def test_broken_metrics_are_told_in_one_line(published_copy, capsys, key):
    path = published_copy / f"reports/metrics/{CELL}.json"
    put(path, json.dumps(json.loads(path.read_text()) | {key: 3}).encode())
    show(CELL)
    assert "delete it and run `dvc repro`" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(UserError, match="delete it and run"):
        diff(CELL, "cosine-class")


def test_scores_of_other_images_are_not_shown_as_these(published_copy, capsys):
    metrics = published_copy / "reports/metrics"
    report = json.loads((metrics / f"{CELL}.json").read_text())
    report["made_from"][f"sample@{CELL}"] = "0" * 64
    put(metrics / f"{CELL}.json", json.dumps(report).encode())
    show(CELL)
    told = " ".join(capsys.readouterr().out.split())
    assert "of other images than are here" in told
    assert f"{100 * report['relative_fd']:.2f} %" not in told
