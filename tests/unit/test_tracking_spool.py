import math
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from tracked import RECORD, assert_one_warning, log, logged

from mnist_diffusion.stages import runner
from mnist_diffusion.tracking import flush, note, runs, spool, store
from mnist_diffusion.tracking.records import Record


def names(experiment=store.CELLS):
    return sorted(run.info.run_name for run in logged(experiment)[1])


def test_a_note_keeps_everything_also_what_json_lacks(fresh_repository):
    values = [math.nan, math.inf, -math.inf, 0.1]
    history = [("loss", value, step) for step, value in enumerate(values)]
    record = Record({"a": None}, {"fd": math.nan, "loss": math.inf}, {"x": "y"}, history, (), 7)
    note("train", "a", record, 2.5, "smoke")
    [place] = spool.waiting()
    assert place.parent == fresh_repository / ".work/tracking"
    assert place.name.endswith("-train@a")
    entry = spool.read(place)
    assert (entry.stage, entry.name, entry.scale) == ("train", "a", "smoke")
    assert (entry.seconds, entry.images, entry.params) == (2.5, 7, {"a": "null"})
    assert repr(entry.metrics) == repr({"fd": math.nan, "loss": math.inf})
    assert repr([value for _, value, _ in entry.history]) == repr(values)
    assert {"run": "a", "scale": "smoke", "x": "y"}.items() <= entry.tags.items()
    assert [p.name for p in place.parent.iterdir()] == [place.name]  # nothing half made is left


NOTE = """
import sys
from mnist_diffusion.tracking.records import Record
from mnist_diffusion.tracking import flush, note
flush()
note("prepare", None, Record(), 1.0)
sys.exit("mlflow" in sys.modules)
"""


def test_neither_a_note_nor_an_idle_flush_opens_mlflow(fresh_repository):
    subprocess.run([sys.executable, "-c", NOTE], check=True)
    assert len(spool.waiting()) == 1


def test_a_spool_that_cannot_be_written_costs_one_line(fresh_repository, capfd):
    (fresh_repository / ".work").write_text("in the way")
    note("evaluate", "a", RECORD, 1.0)
    assert_one_warning(capfd, "evaluate@a: will be missing in MLflow, its files are fine")
    flush()
    assert capfd.readouterr().err == ""


def test_a_file_that_is_gone_costs_one_line_and_not_the_run(repository, capfd):
    log("evaluate", "a", Record(artifacts=[Path("gone.png")]), 1.0)
    assert_one_warning(capfd, "evaluate@a: gone.png will be missing in MLflow")
    assert names() == ["a"]


def test_artifacts_are_those_of_the_moment_of_the_note(repository, tmp_path):
    picture = tmp_path / "grid.png"
    picture.write_bytes(b"old")
    note("evaluate", "a", Record(artifacts=[picture]), 1.0)
    picture.unlink()
    flush()
    copies = list((repository / "mlartifacts").rglob("grid.png"))
    assert [copy.read_bytes() for copy in copies] == [b"old"]


def test_a_dead_store_gets_the_runs_when_it_is_back(repository, monkeypatch, capfd):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////proc/none/mlflow.db")
    note("evaluate", "a", RECORD, 1.0)
    note("evaluate", "b", RECORD, 1.0)
    ends = [spool.read(place).end_ms for place in spool.waiting()]
    flush()
    assert_one_warning(capfd, "runs are kept in .work/tracking and will be logged at the next")
    assert len(spool.waiting()) == 2
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    flush()
    flush()
    assert capfd.readouterr().err == ""
    assert spool.waiting() == []
    assert names() == ["a", "b"]
    assert sorted(run.info.end_time for run in logged(store.CELLS)[1]) == ends


def test_a_flush_that_died_before_deleting_is_not_repeated(repository, tmp_path):
    note("evaluate", "a", RECORD, 1.0)
    [place] = spool.waiting()
    shutil.copytree(place, tmp_path / "kept")
    flush()
    shutil.copytree(tmp_path / "kept", place)
    flush()
    assert spool.waiting() == []
    assert names() == ["a"]


def test_half_a_run_is_made_anew(repository, monkeypatch, capfd):
    def die(*_):
        raise OSError("disk full")

    monkeypatch.setattr(runs, "_mark_latest", die)
    log("evaluate", "a", RECORD, 1.0)
    assert_one_warning(capfd, "runs are kept in .work/tracking")
    assert [run.info.status for run in logged(store.CELLS)[1]] == ["FAILED"]
    monkeypatch.undo()
    monkeypatch.setenv("DVC_ROOT", str(repository))
    flush()
    _, [run] = logged(store.CELLS)
    assert (run.info.status, run.data.tags["latest"]) == ("FINISHED", "true")
    assert run.data.metrics["relative_fd"] == 0.012


CLASH = Record(params={"a@": 1, "a_": 2})
"""Two values for what is one name to MLflow, which refuses that."""


def test_an_entry_that_can_never_be_logged_is_moved_out_of_the_way(repository, capfd):
    torn = spool.folder() / "1-evaluate@torn"
    torn.mkdir(parents=True)
    (torn / "record.json").write_text('{"stage": "eval')
    flush()
    assert_one_warning(capfd, ".work/tracking/broken/1-evaluate@torn: moved there, ")
    note("evaluate", "clash", CLASH, 1.0)
    [clash] = spool.waiting()
    log("evaluate", "fine", RECORD, 1.0)
    assert_one_warning(capfd, f".work/tracking/broken/{clash.name}: moved there, ")
    moved = {place.name for place in (spool.folder() / "broken").iterdir()}
    assert moved == {torn.name, clash.name}
    assert spool.waiting() == []
    assert "fine" in names()


def test_two_flushes_at_once_log_each_run_once(repository):
    cells = list("abcdef")
    for cell in cells:
        note("evaluate", cell, RECORD, 1.0)
    command = [sys.executable, "-c", "from mnist_diffusion.tracking import flush; flush()"]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    assert [process.communicate(timeout=300)[1] for process in processes] == [b"", b""]
    assert spool.waiting() == []
    assert names() == cells


def test_how_long_the_oldest_has_waited(fresh_repository):
    assert spool.waited_seconds() == 0
    now = time.time_ns()
    for age in (10, 300, 0):
        (spool.folder() / f"{now - age * 10**9}-evaluate@a{age}").mkdir(parents=True)
    (spool.folder() / "1x-no-entry").mkdir()
    assert 300 <= spool.waited_seconds() < 360


@pytest.mark.parametrize(
    ("stage", "seconds", "waited", "calls"),
    [
        ("prepare", 119, 119, ["note prepare laptop"]),
        ("prepare", 301, 0, ["note prepare laptop", "flush"]),
        ("prepare", 1, 301, ["note prepare laptop", "flush"]),
        ("report", 1, 0, ["note report laptop", "flush"]),
    ],
)
def test_a_stage_flushes_what_has_waited_and_the_last_does(
    tmp_path, monkeypatch, stage, seconds, waited, calls
):
    did = []
    settings = SimpleNamespace(scale="laptop", cells={})
    module = SimpleNamespace(run=lambda _: None, record=lambda _: Record())
    clock = iter([0.0, seconds])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "PUBLISHED", {})
    monkeypatch.setattr(runner, "load_settings", lambda: settings)
    monkeypatch.setattr(runner, "importlib", SimpleNamespace(import_module=lambda _: module))
    monkeypatch.setattr(runner, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    monkeypatch.setattr(runner, "note", lambda stage, *rest: did.append(f"note {stage} {rest[-1]}"))
    monkeypatch.setattr(runner, "waited_seconds", lambda: waited)
    monkeypatch.setattr(runner, "flush", lambda: did.append("flush"))
    runner.run_stage(stage)
    assert did == calls
