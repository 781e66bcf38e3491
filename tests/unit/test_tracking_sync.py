"""MLflow made complete from results, whatever happened to its store: real stores, all of them."""

import logging
import math
import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tracked import RECORD, assert_one_warning, closed_port, log, logged

from mnist_diffusion.tracking import flush, flushing, note, spool, store, sync
from mnist_diffusion.tracking.records import Record
from mnist_diffusion.tracking.sync import Counts, Result

HISTORY = [("loss", value, step) for step, value in enumerate([3.0, 0.1, math.nan])]
TRAINED = Record({"lr": 3e-4}, {"final_loss": 0.1}, {"weights_sha256": "cd" * 32}, HISTORY)
OTHER = replace(RECORD, metrics={"relative_fd": 0.5})
FINISHED = datetime(2026, 11, 1, 12, tzinfo=UTC)

CELL = Result("evaluate", "a", RECORD, 10.0, "smoke", FINISHED, {"git_commit": "ab" * 20}, 50.0)
ALL = [
    Result("prepare", None, RECORD),
    Result("train", "a", TRAINED, 60.0),
    Result("sample", "a", RECORD),
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
    assert sync.sync(ALL) == Counts(logged=4)
    first = everything()
    assert sync.sync(ALL) == Counts(already=4)
    assert repr(everything()) == repr(first)
    assert {run.info.run_name for run in first} == {"prepare", "a", "sample@a"}
    assert all(run.info.status == "FINISHED" and is_latest(run) for run in first)
    assert capfd.readouterr().err == ""


def test_histories_are_there_to_the_last_bit(repository):
    sync.sync(ALL)
    client, [run] = logged(store.TRAINING)
    history = client.get_metric_history(run.info.run_id, "loss")
    assert repr(sorted((m.step, m.value) for m in history)) == "[(0, 3.0), (1, 0.1), (2, nan)]"


def test_a_run_tells_of_the_time_it_was_made_and_not_of_the_time_it_was_logged(repository):
    sync.sync([CELL])
    [run] = runs_of(store.CELLS)
    assert run.info.end_time == FINISHED.timestamp() * 1000
    assert run.info.end_time - run.info.start_time == 10_000
    assert run.data.metrics["images_per_second"] == 50
    wanted = {"git_commit": "ab" * 20, "scale": "smoke", "cell": "a", "stage": "evaluate"}
    assert wanted.items() <= run.data.tags.items()


def test_what_nobody_knows_is_not_said(repository):
    sync.sync([Result("evaluate", "a", RECORD)])
    [run] = runs_of(store.CELLS)
    assert not {"seconds", "images_per_second"} & set(run.data.metrics)
    assert not {"git_commit", "git_dirty"} & set(run.data.tags)


def test_files_are_kept_and_a_missing_one_is_no_matter(repository, tmp_path, capfd):
    (tmp_path / "grid.png").write_bytes(b"picture")
    files = [tmp_path / "grid.png", tmp_path / "gone.png"]
    assert sync.sync([replace(CELL, record=replace(RECORD, artifacts=files))]) == Counts(logged=1)
    client, [run] = logged(store.CELLS)
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["grid.png"]
    assert capfd.readouterr().err == ""


def test_what_a_stage_logged_itself_is_there(repository):
    log("evaluate", "a", RECORD, 3.0, "laptop")
    assert sync.sync([CELL]) == Counts(already=1)
    assert len(runs_of(store.CELLS)) == 1


def test_what_a_stage_logs_later_is_there(repository):
    sync.sync([CELL])
    log("evaluate", "a", RECORD, 3.0, "laptop")
    assert spool.waiting() == []
    assert len(runs_of(store.CELLS)) == 1


def test_what_waits_goes_first_for_it_is_older(repository):
    note("evaluate", "a", OTHER, 1.0)
    note("evaluate", "b", RECORD, 1.0)
    assert sync.sync([CELL, replace(CELL, name="b")]) == Counts(logged=1, already=1)
    assert len(runs_of(store.CELLS)) == 3
    assert sorted(metrics["relative_fd"] for metrics in shown().values()) == [0.012, 0.012]


def test_a_result_that_comes_back_is_the_latest_again(repository):
    """A parameter changed and changed back: DVC restores the outs, and no stage runs."""
    sync.sync([CELL])
    first = shown()
    sync.sync([replace(CELL, record=OTHER)])
    assert shown().keys().isdisjoint(first)
    assert sync.sync([CELL]) == Counts(already=1)
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
    sync.sync([CELL])
    assert sync.sync([replace(CELL, record=replace(RECORD, **change))]) == Counts(logged=1)
    assert len(runs_of(store.CELLS)) == 2 and len(shown()) == 1


def test_the_same_content_of_another_name_is_another_run(repository):
    assert sync.sync([CELL, replace(CELL, name="b")]) == Counts(logged=2)
    assert len(shown()) == 2


def test_a_run_that_was_deleted_by_hand_is_made_anew(repository):
    sync.sync(ALL)
    client, [run] = logged(store.CELLS)
    client.delete_run(run.info.run_id)
    assert sync.sync(ALL) == Counts(logged=1, already=3)
    [anew] = runs_of(store.CELLS)
    assert anew.info.run_id != run.info.run_id
    assert sync.sync(ALL) == Counts(already=4)


def test_a_run_of_which_the_tags_were_changed_by_hand_is_mended(repository):
    sync.sync(ALL)
    client, [run] = logged(store.CELLS)
    client.set_tag(run.info.run_id, "latest", "false")
    client.update_run(run.info.run_id, name="my favourite")
    assert sync.sync(ALL) == Counts(already=4)
    [run] = runs_of(store.CELLS)
    assert is_latest(run)


FALSEHOODS = {
    "a metric": "update latest_metrics set value = 0.001 where key = 'relative_fd'",
    "the last value of a history": "update latest_metrics set value = 9 where key = 'final_loss'",
    "a param": "update params set value = '1' where key = 'lr'",
    "no param": "delete from params where key = 'lr'",
    "a digest": "update tags set value = 'ab' where key = 'weights_sha256'",
}


@pytest.mark.parametrize("statement", FALSEHOODS.values(), ids=FALSEHOODS)
def test_a_run_that_says_something_else_than_its_files_is_made_anew(repository, statement):
    sync.sync(ALL)
    with sqlite3.connect(repository / "mlflow.db") as database:
        assert database.execute(statement).rowcount
    told = sync.sync(ALL)
    assert told.logged and told.logged + told.already == len(ALL)
    assert sync.sync(ALL) == Counts(already=4)
    [trained] = runs_of(store.TRAINING)
    assert trained.data.params == {"lr": "0.0003"}
    assert trained.data.metrics["final_loss"] == 0.1
    assert trained.data.tags["weights_sha256"] == "cd" * 32
    assert all(metrics["relative_fd"] != 0.001 for metrics in shown().values())


def test_a_deleted_experiment_comes_back_whole(repository):
    sync.sync(ALL)
    for name in store.EXPERIMENTS:
        client, experiment = store.open_experiment(name)
        client.delete_experiment(experiment)
    sync.sync(ALL)
    assert sync.sync(ALL) == Counts(already=4)
    assert len(everything()) == 4


def test_a_deleted_database_comes_back_whole(repository, empty_store):
    sync.sync(ALL)
    (repository / "mlflow.db").write_bytes(empty_store.read_bytes())
    assert sync.sync(ALL) == Counts(logged=4)
    assert len(everything()) == 4


def test_half_a_run_is_made_anew(repository):
    sync.sync([CELL])
    client, [run] = logged(store.CELLS)
    client.set_terminated(run.info.run_id, "FAILED")
    assert sync.sync([CELL]) == Counts(logged=1)
    [anew] = runs_of(store.CELLS)
    assert anew.info.status == "FINISHED" and is_latest(anew)


def test_halves_of_runs_that_nobody_will_finish_are_deleted(repository):
    client, experiment = store.open_experiment(store.CELLS)
    half = client.create_run(experiment, tags={"content": "of a result that is gone"})
    mine = client.create_run(experiment)
    sync.sync([])
    assert [run.info.run_id for run in runs_of(store.CELLS)] == [mine.info.run_id]
    assert client.get_run(half.info.run_id).info.lifecycle_stage == "deleted"


def test_runs_from_before_contents_were_digested_give_way(repository):
    sync.sync([CELL])
    client, [run] = logged(store.CELLS)
    client.delete_tag(run.info.run_id, "content")
    assert sync.sync([CELL]) == Counts(logged=1)
    assert len(shown()) == 1 and len(runs_of(store.CELLS)) == 2


def test_what_is_declared_no_more_leaves_no_ghost(repository):
    sync.sync([*ALL, replace(CELL, name="b"), Result("sample", "b", RECORD)])
    client, experiment = store.open_experiment(store.CELLS)
    mine = client.create_run(experiment, tags={"latest": "true"}).info.run_id
    declared = {"prepare", "train@a", "sample@a", "evaluate@a"}
    assert sync.sync(ALL, declared) == Counts(already=4)
    ghosts = {r.info.run_name for r in everything() if r.data.tags["latest"] == "false"}
    assert ghosts == {"b", "sample@b"}
    assert client.get_run(mine).data.tags["latest"] == "true"  # none of ours
    sync.sync([replace(CELL, name="b")], {*declared, "evaluate@b", "sample@b"})
    assert len(shown()) == 3  # declared again


def test_what_is_declared_and_not_made_yet_keeps_its_last_run(repository):
    sync.sync(ALL)
    sync.sync([], {"prepare", "train@a", "sample@a", "evaluate@a"})
    assert all(map(is_latest, everything()))


def test_a_refused_result_is_told_and_the_others_go_on(repository, capfd):
    clash = Result("evaluate", "clash", Record(params={"a@": 1, "a_": 2}))
    assert sync.sync([clash, CELL]) == Counts(logged=1, failed=1)
    assert_one_warning(capfd, "evaluate@clash: MLflow refuses it, its files are fine: ")
    assert len(shown()) == 1


def test_a_dead_server_fails_all_in_one_line(repository, monkeypatch, capfd):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed_port()}")
    note("evaluate", "a", RECORD, 1.0)
    assert sync.sync(ALL, {"prepare"}) == Counts(failed=4)
    assert_one_warning(capfd, "MLflow is not complete, the files are fine; run `mnist-diffusion")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert sync.sync(ALL) == Counts(logged=3, already=1)
    assert len(everything()) == 4


def test_a_store_that_dies_meanwhile_fails_the_rest(repository, monkeypatch, capfd):
    sync.sync(ALL[:1])
    real, calls = sync.runs.log, []

    def die(entry, files):
        calls.append(entry.address)
        if len(calls) == 2:
            raise OSError("disk full")
        return real(entry, files)

    monkeypatch.setattr(sync.runs, "log", die)
    assert sync.sync(ALL) == Counts(logged=1, already=1, failed=2)
    assert_one_warning(capfd, "MLflow is not complete")
    monkeypatch.setattr(sync.runs, "log", real)
    assert sync.sync(ALL) == Counts(logged=2, already=2)


def test_a_process_that_logs_for_ever_is_not_waited_for(repository, monkeypatch, capfd):
    monkeypatch.setattr(sync, "PATIENCE_SECONDS", 0.2)
    spool.folder().mkdir(parents=True)
    with flushing.alone() as is_alone:
        assert is_alone
        assert sync.sync(ALL) == Counts(failed=4)
    assert_one_warning(capfd, "MLflow is not complete")
    assert sync.sync([CELL]) == Counts(logged=1)


TWICE = """
from mnist_diffusion.tracking.records import Record
from mnist_diffusion.tracking import sync
print(sync.sync([sync.Result("evaluate", str(k), Record()) for k in range(6)]).logged)
"""


def test_two_at_once_log_each_result_once(repository):
    command = [sys.executable, "-c", TWICE]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    said = [process.communicate(timeout=300)[0] for process in processes]
    assert sorted(map(int, said)) == [0, 6]
    assert len(runs_of(store.CELLS)) == 6


def test_a_stage_that_ends_meanwhile_is_the_latest(repository, monkeypatch):
    real = sync.runs.log

    def and_a_stage_ends(entry, files):
        if not spool.waiting() and entry.metrics["relative_fd"] != 0.5:
            note("evaluate", "a", OTHER, 1.0)
            flush()  # is turned away
        return real(entry, files)

    monkeypatch.setattr(sync.runs, "log", and_a_stage_ends)
    assert sync.sync([CELL]) == Counts(logged=1)
    [metrics] = shown().values()
    assert metrics["relative_fd"] == 0.5
    assert spool.waiting() == []
