import math
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from tracked import RECORD, assert_one_warning, closed_port, log, logged

from mnist_diffusion.tracking import flushing, runs, store
from mnist_diffusion.tracking.records import Record

KEPT = "runs are kept in .work/tracking and will be logged at the next flush"


def test_a_cell_reads_back_with_what_made_it_and_how_it_scored(repository, capfd):
    log("evaluate", "cosine-class", RECORD, 10.0, "smoke")
    assert capfd.readouterr().err == ""
    _, [run] = logged(store.CELLS)
    assert run.info.run_name == "cosine-class"
    assert run.info.status == "FINISHED"
    assert run.info.end_time - run.info.start_time == 10_000
    assert run.data.params == {
        "run": "cosine-class",
        "guidance": "2.0",
        "zero_terminal_snr": "true",
        "muon_learning_rate": "null",
    }
    assert run.data.metrics == {
        "relative_fd": 0.012,
        "accuracy_per_class/3": 0.99,
        "fd_floor": 0.001,
        "seconds": 10.0,
        "images_per_second": 50.0,
    }
    wanted = {
        "stage": "evaluate",
        "cell": "cosine-class",
        "scale": "smoke",
        "samples_sha256": "ab" * 32,
        "latest": "true",
    }
    assert wanted.items() <= run.data.tags.items()
    assert (repository / "mlflow.db").is_file()


def test_history_keeps_every_value_at_its_step(repository):
    points = [("loss", 1 / step, step) for step in range(1, 2302)]
    points.append(("gradient_norm", math.nan, 5))
    log("train", "cosine-class", Record(history=points), 1.0)
    client, [run] = logged(store.TRAINING)
    history = client.get_metric_history(run.info.run_id, "loss")
    assert sorted((m.step, m.value) for m in history) == [(s, 1 / s) for s in range(1, 2302)]
    [norm] = client.get_metric_history(run.info.run_id, "gradient_norm")
    assert math.isnan(norm.value)
    assert run.data.tags["run"] == "cosine-class"


def test_long_and_many_parameters_are_kept(repository, capfd):
    params = {f"p{k}": k for k in range(250)} | {"long": "x" * 20_000}
    log("prepare", None, Record(params=params, tags={"long": "y" * 20_000}), 1.0)
    assert capfd.readouterr().err == ""
    _, [run] = logged(store.PIPELINE)
    assert run.info.run_name == "prepare"
    assert len(run.data.params) == 251
    assert set(run.data.params["long"]) == {"x"}
    assert set(run.data.tags["long"]) == {"y"}


def test_artifacts_are_copied_under_the_repository(repository, tmp_path):
    (tmp_path / "grid.png").write_bytes(b"picture")
    log("sample", "cosine-class", Record(artifacts=[tmp_path / "grid.png"]), 1.0)
    client, [run] = logged(store.PIPELINE)
    assert run.info.run_name == "sample@cosine-class"
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["grid.png"]
    copies = list((repository / "mlartifacts").rglob("grid.png"))
    assert [copy.read_bytes() for copy in copies] == [b"picture"]


def test_only_the_newest_run_of_a_stage_is_latest(repository):
    for name, fd in (("a", 1.0), ("a", 2.0), ("b", 1.0)):
        log("evaluate", name, replace(RECORD, metrics={"fd": fd}), 1.0)
    _, found = logged(store.CELLS)
    latest = sorted((run.info.run_name, run.data.tags.get("latest")) for run in found)
    assert latest == [("a", "false"), ("a", "true"), ("b", "true")]


def test_the_same_result_again_is_the_same_run(repository):
    log("evaluate", "a", RECORD, 1.0)
    log("evaluate", "a", RECORD, 2.0, "smoke")
    _, [run] = logged(store.CELLS)
    assert (run.data.metrics["seconds"], run.data.tags["latest"]) == (1.0, "true")


OPEN = """
from mnist_diffusion.tracking import store
store.open_experiment(store.CELLS)
"""


def test_processes_that_meet_a_fresh_database_all_open_it(fresh_repository):
    command = [sys.executable, "-c", OPEN]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    assert [process.communicate(timeout=300)[1] for process in processes] == [b"", b""]
    assert logged(store.CELLS)[1] == []


def test_a_dead_server_costs_one_line_and_seconds(repository, monkeypatch, capfd):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed_port()}")
    start = time.monotonic()
    log("evaluate", "a", RECORD, 1.0)
    assert time.monotonic() - start < 30
    assert_one_warning(capfd, KEPT)


@pytest.mark.parametrize("uri", ["nonsense://", "sqlite:////proc/none/mlflow.db", "mlruns"])
def test_a_store_that_cannot_be_opened_costs_one_line(repository, monkeypatch, capfd, uri):
    monkeypatch.chdir(repository)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    log("evaluate", "a", RECORD, 1.0)
    assert_one_warning(capfd, KEPT)


def test_a_corrupt_database_costs_one_line(repository, capfd):
    (repository / "mlflow.db").write_bytes(b"not a database" * 100)
    log("evaluate", "a", RECORD, 1.0)
    assert_one_warning(capfd, KEPT)


def test_a_store_that_never_answers_is_given_up(repository, monkeypatch, capfd):
    monkeypatch.setattr(flushing, "LIMIT_SECONDS", 0.2)
    monkeypatch.setattr(runs, "open_experiment", lambda _: time.sleep(5))
    start = time.monotonic()
    log("evaluate", "a", RECORD, 1.0)
    assert time.monotonic() - start < 3
    assert_one_warning(capfd, KEPT)


def test_an_experiment_that_was_deleted_by_hand_comes_back(repository, capfd):
    client, experiment_id = store.open_experiment(store.CELLS)
    client.delete_experiment(experiment_id)
    log("evaluate", "a", RECORD, 1.0)
    assert capfd.readouterr().err == ""
    assert len(logged(store.CELLS)[1]) == 1


def test_the_store_of_a_dvc_experiment_is_that_of_the_repository(repository, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert store.tracking_uri() == f"sqlite:///{repository}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    assert store.tracking_uri() == "http://elsewhere"


def git(*arguments):
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_run_tells_its_commit_and_whether_the_source_was_changed(repository, monkeypatch):
    monkeypatch.chdir(repository)
    (repository / "params.yaml").write_text("a: 1\n")
    git("init", "-q")
    git("add", "params.yaml")
    git("commit", "-q", "-m", "first")
    log("evaluate", "clean", RECORD, 1.0)  # leaves mlflow.db behind, which is no dirt
    log("evaluate", "same", RECORD, 1.0)
    (repository / "params.yaml").write_text("a: 2\n")
    monkeypatch.setenv("DVC_EXP_NAME", "bold-move")
    log("evaluate", "dirty", RECORD, 1.0)
    tags = {run.info.run_name: run.data.tags for run in logged(store.CELLS)[1]}
    assert {name: tag["git_dirty"] for name, tag in tags.items()} == {
        "clean": "false",
        "same": "false",
        "dirty": "true",
    }
    assert {tag["git_commit"] for tag in tags.values()} == {git("rev-parse", "HEAD")}
    assert tags["dirty"]["dvc_experiment"] == "bold-move"
    assert "dvc_experiment" not in tags["clean"]
