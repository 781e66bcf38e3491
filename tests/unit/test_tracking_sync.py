"""MLflow made complete from results, whatever happened to its store: real stores, all of them."""

import logging
import math
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from tracked import RECORD, assert_one_warning, closed_port, logged, timing

from mnist_diffusion.tracking import runs, store, sync
from mnist_diffusion.tracking.records import Record
from mnist_diffusion.tracking.sync import Counts, log_all

HISTORY = [("loss", value, step) for step, value in enumerate([3.0, 0.1, math.nan])]
FINISHED = datetime(2026, 11, 1, 12, tzinfo=UTC)
CELL = RECORD
OTHER = replace(CELL, metrics={"relative_fd": 0.5})
BARE = replace(CELL, timing=None, marks={})
WEIGHTS = {"weights_sha256": "cd" * 32}
TRAINED = Record({"lr": 3e-4}, {"final_loss": 0.1}, WEIGHTS, HISTORY, stage="train", name="a")
ALL = [
    replace(BARE, stage="prepare", name=None),
    replace(TRAINED, timing=timing(60.0)),
    replace(BARE, stage="sample"),
    CELL,
]


def runs_of(experiment):
    return logged(experiment)[1]


def everything():
    return [run for name in store.EXPERIMENTS for run in runs_of(name)]


def shown(experiment=store.CELLS):
    return {r.info.run_id: r.data.metrics for r in runs_of(experiment) if is_latest(r)}


def is_latest(run):
    return run.data.tags.get("latest") == "true"


@pytest.mark.parametrize("level", [logging.NOTSET, logging.INFO], ids=["ours", "MLflow's own"])
def test_an_empty_store_is_made_complete_and_then_left_alone(level, fresh_repository, capfd):
    """Without a word of MLflow's, which has the level INFO where it is imported before us."""
    logging.getLogger("mlflow").setLevel(level)
    assert log_all(ALL) == Counts(logged=4)
    first = everything()
    assert log_all(ALL) == Counts(already=4)
    assert repr(everything()) == repr(first)
    assert {run.info.run_name for run in first} == {"prepare", "a", "sample@a"}
    assert all(run.info.status == "FINISHED" and is_latest(run) for run in first)
    assert capfd.readouterr().err == ""


def test_what_nobody_knows_is_not_said(repository):
    log_all([BARE])
    [run] = runs_of(store.CELLS)
    assert not {"seconds", "images_per_second"} & set(run.data.metrics)
    assert not {"git_commit", "git_dirty", "dvc_experiment"} & set(run.data.tags)


def test_a_result_that_comes_back_is_the_latest_again(repository):
    """A parameter changed and changed back: DVC restores the outs, and no stage runs."""
    log_all([CELL])
    first = shown()
    log_all([OTHER])
    assert shown().keys().isdisjoint(first)
    assert log_all([CELL]) == Counts(already=1)
    assert shown() == first
    assert len(runs_of(store.CELLS)) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"params": {**RECORD.params, "guidance": 3.0}},
        {"metrics": {**RECORD.metrics, "relative_fd": 0.0121}},
        {"tags": {"samples_sha256": "ba" * 32}},
        {"history": HISTORY[:2]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_content_is_another_run(repository, change):
    log_all([CELL])
    assert log_all([replace(CELL, **change)]) == Counts(logged=1)
    assert len(runs_of(store.CELLS)) == 2 and len(shown()) == 1


def change_by_hand(client, run):
    client.set_tag(run, "latest", "false")
    client.update_run(run, name="my favourite")


def delete_experiments(client, _):
    for name in store.EXPERIMENTS:
        client.delete_experiment(store.open_experiment(name)[1])


HARMS = {
    "a run deleted": (lambda client, run: client.delete_run(run), 1),
    "half a run": (lambda client, run: client.set_terminated(run, "FAILED"), 1),
    "no digest, as in earlier versions": (lambda client, run: client.delete_tag(run, "content"), 1),
    "tags and name": (change_by_hand, 0),
    "experiments deleted": (delete_experiments, 0),
}
"""What is done to the run of a cell, and how many are then made anew."""


@pytest.mark.parametrize(("harm", "anew"), HARMS.values(), ids=HARMS)
def test_what_was_harmed_is_made_whole(repository, harm, anew):
    log_all(ALL)
    client, [cell] = logged(store.CELLS)
    harm(client, cell.info.run_id)
    assert log_all(ALL) == Counts(logged=anew, already=len(ALL) - anew)
    assert log_all(ALL) == Counts(already=len(ALL))
    latest = list(filter(is_latest, everything()))
    assert len(latest) == len(ALL) and {run.info.status for run in latest} == {"FINISHED"}
    assert (cell.info.run_id in shown()) == (not anew)


FALSEHOODS = {
    "a metric": "update latest_metrics set value = 0.001 where key = 'relative_fd'",
    "the last value of a history": "update latest_metrics set value = 9 where key = 'final_loss'",
    "a param": "update params set value = '1' where key = 'lr'",
    "no param": "delete from params where key = 'lr'",
    "a digest": "update tags set value = 'ab' where key = 'weights_sha256'",
}


@pytest.mark.parametrize("statement", FALSEHOODS.values(), ids=FALSEHOODS)
def test_a_run_that_says_something_else_than_its_files_is_made_anew(repository, statement):
    log_all(ALL)
    with sqlite3.connect(repository / "mlflow.db") as database:
        assert database.execute(statement).rowcount
    told = log_all(ALL)
    assert told.logged and told.logged + told.already == len(ALL)
    assert log_all(ALL) == Counts(already=4)
    [trained] = runs_of(store.TRAINING)
    assert trained.data.params == {"lr": "0.0003"}
    assert trained.data.metrics["final_loss"] == 0.1
    assert trained.data.tags["weights_sha256"] == "cd" * 32
    assert all(metrics["relative_fd"] != 0.001 for metrics in shown().values())


def test_halves_of_runs_that_nobody_will_finish_are_deleted(repository):
    client, experiment = store.open_experiment(store.CELLS)
    half = client.create_run(experiment, tags={"content": "of a result that is gone"})
    mine = client.create_run(experiment)
    log_all([])
    assert [run.info.run_id for run in runs_of(store.CELLS)] == [mine.info.run_id]
    assert client.get_run(half.info.run_id).info.lifecycle_stage == "deleted"


def test_what_is_declared_no_more_leaves_no_ghost(repository):
    log_all([*ALL, replace(CELL, name="b"), replace(BARE, stage="sample", name="b")])
    client, experiment = store.open_experiment(store.CELLS)
    mine = client.create_run(experiment, tags={"latest": "true"}).info.run_id
    declared = {"prepare", "train@a", "sample@a", "evaluate@a"}
    assert log_all(ALL, declared) == Counts(already=4)
    ghosts = {r.info.run_name for r in everything() if r.data.tags["latest"] == "false"}
    assert ghosts == {"b", "sample@b"}
    assert client.get_run(mine).data.tags["latest"] == "true"  # none of ours
    log_all([replace(CELL, name="b")], {*declared, "evaluate@b", "sample@b"})
    assert len(shown()) == 3  # declared again


def test_what_is_declared_and_not_made_yet_keeps_its_last_run(repository):
    log_all(ALL)
    log_all([], {"prepare", "train@a", "sample@a", "evaluate@a"})
    assert all(map(is_latest, everything()))


def test_a_refused_result_is_told_and_the_others_go_on(repository, monkeypatch, capfd):
    from mlflow.exceptions import MlflowException

    real = runs._write_numbers

    def refuse(opened, run, record, end):
        if record.name == "clash":
            raise MlflowException.invalid_parameter_value("no such number")
        real(opened, run, record, end)

    monkeypatch.setattr(runs, "_write_numbers", refuse)
    clash = replace(CELL, name="clash")
    assert log_all([clash, CELL]) == Counts(logged=1, failed=1)
    assert_one_warning(capfd, "evaluate@clash: MLflow refuses it, its files are fine: ")
    assert len(shown()) == 1


def test_a_dead_server_fails_all_in_one_line_without_its_password(repository, monkeypatch, capfd):
    server = f"http://me:secret@127.0.0.1:{closed_port()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    start = time.monotonic()
    assert log_all(ALL, {"prepare"}) == Counts(failed=4)
    assert time.monotonic() - start < 30
    assert_one_warning(capfd, "MLflow is not complete, the files are fine; run `mnist-diffusion")
    store.warn("MLflow", OSError(f"{server}: refused"))
    assert "secret" not in capfd.readouterr().err
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert log_all(ALL) == Counts(logged=4)
    assert len(everything()) == 4


def test_a_store_that_dies_meanwhile_fails_the_rest(repository, monkeypatch, capfd):
    log_all(ALL[:1])
    real, calls = runs.log, []

    def die(opened, record, shown):
        calls.append(record.address)
        if len(calls) == 3:
            raise OSError("disk full")
        return real(opened, record, shown)

    monkeypatch.setattr(runs, "log", die)
    assert log_all(ALL) == Counts(logged=1, already=1, failed=2)
    assert_one_warning(capfd, "MLflow is not complete")
    monkeypatch.setattr(runs, "log", real)
    assert log_all(ALL) == Counts(logged=2, already=2)


def test_a_process_that_logs_for_ever_is_not_waited_for(repository, monkeypatch, capfd):
    with store.exclusive(0):
        assert log_all(ALL, patience=0.2) == Counts(failed=4)
        assert_one_warning(capfd, "MLflow is not complete")
        assert log_all(ALL, patience=0) == Counts()  # that process is at it
    assert capfd.readouterr().err == ""
    assert log_all([CELL]) == Counts(logged=1)


TWICE = """
from mnist_diffusion.tracking.records import Record
from mnist_diffusion.tracking.sync import log_all
print(log_all([Record(stage="evaluate", name=str(k)) for k in range(6)]).logged)
"""


def test_two_at_once_log_each_result_once(repository):
    command = [sys.executable, "-c", TWICE]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    said = [process.communicate(timeout=300)[0] for process in processes]
    assert sorted(map(int, said)) == [0, 6]
    assert len(runs_of(store.CELLS)) == 6


ELSEWHERE = "warning: mlflow.db: is of "


def test_a_repository_that_was_moved_has_its_view_made_anew(repository, tmp_path, monkeypatch):
    """Fault: MLflow wrote into the old place, and could not find what had lain there."""
    (tmp_path / "scores.json").write_bytes(b"{}")
    here = replace(CELL, files=[tmp_path / "scores.json"])
    log_all([here])
    moved = tmp_path / "moved"
    repository.rename(moved)
    monkeypatch.setenv("DVC_ROOT", str(moved))
    command = [sys.executable, "-c", MOVED.format(file=str(tmp_path / "scores.json"))]
    told = [subprocess.run(command, capture_output=True, text=True) for _ in range(2)]
    assert [one.stdout[:9] for one in told] == ["1 logged,", "0 logged,"]
    assert told[0].stderr.startswith(ELSEWHERE) and told[0].stderr.count("\n") == 1
    assert told[1].stderr == ""
    assert told[0].stderr.startswith(ELSEWHERE), told[0].stderr
    assert len(list((moved / "mlartifacts").rglob("scores.json"))) == 1
    assert (moved / ".work/mlflow-of-another-place/mlflow.db").is_file()
    assert not repository.exists()


MOVED = """
from pathlib import Path
from mnist_diffusion.tracking.records import Record
from mnist_diffusion.tracking.sync import log_all
print(log_all([Record(stage="evaluate", name="a", files=[Path({file!r})])]))
"""


@pytest.fixture
def clones(repository, tmp_path, monkeypatch):
    """Two repositories and one store, as at a team's server; a function that goes to one."""
    shared = tmp_path / "shared.db"
    shutil.copy(repository / "mlflow.db", shared)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{shared}")

    def go(name):
        monkeypatch.setenv("DVC_ROOT", str(tmp_path / name))

    return go


def test_a_clone_takes_nothing_from_the_views_of_another(clones):
    """Fault: what B's params.yaml does not declare, A lost from every view."""
    clones("a")
    log_all([CELL, replace(CELL, name="b")], {"evaluate@a", "evaluate@b"})
    before = repr(runs_of(store.CELLS))
    clones("b")
    assert log_all([OTHER], {"evaluate@a"}) == Counts(logged=1)
    assert len(runs_of(store.CELLS)) == 1
    clones("a")
    assert repr(runs_of(store.CELLS)) == before
    assert len(shown()) == 2


def test_clones_may_choose_to_share(clones, monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "team")
    clones("a")
    log_all([CELL], {"evaluate@a"})
    clones("b")
    assert log_all([CELL, replace(CELL, name="b")], {"evaluate@b"}) == Counts(logged=1, already=1)
    assert len(shown()) == 2


def test_the_differences_of_a_run_to_its_files_are_named(repository, monkeypatch):
    records = {"train": TRAINED, "evaluate": CELL}
    monkeypatch.setattr(sync, "record_of", lambda stage, _: records[stage])
    assert sync.mlflow_differences("train", "a") is None
    log_all([TRAINED, CELL])
    assert [sync.mlflow_differences(stage, "a")[1] for stage in records] == [[], []]
    with sqlite3.connect(repository / "mlflow.db") as database:
        for statement in FALSEHOODS.values():
            database.execute(statement)
    run, found = sync.mlflow_differences("evaluate", "a")
    assert found == [("metric", "relative_fd", 0.012, 0.001)]
    assert run == runs_of(store.CELLS)[0].info.run_id
    assert sync.mlflow_differences("train", "a") is None  # of these weights


@pytest.mark.parametrize(
    ("stage", "age", "patience"),
    [("prepare", None, 0), ("prepare", 299, None), ("prepare", 301, 0), ("report", 0, 60)],
)
def test_a_stage_syncs_now_and_then_and_the_last_does(
    repository, monkeypatch, stage, age, patience
):
    did = []
    monkeypatch.setattr(sync, "load_settings", SimpleNamespace)
    monkeypatch.setattr(sync, "sync", lambda _, patience: did.append(patience))
    stamp = repository / ".work/synced"
    if age is not None:
        stamp.parent.mkdir()
        stamp.touch()
        os.utime(stamp, (time.time() - age,) * 2)
    sync.keep_up(stage)
    assert did == ([] if patience is None else [patience])
    assert time.time() - stamp.stat().st_mtime < (10 if did else 400)
