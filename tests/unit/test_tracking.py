"""One run in MLflow: what it holds, where it lies, and what happens where MLflow cannot be had."""

import math
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from PIL import Image
from tracked import COMMIT, RECORD, assert_one_warning, log, logged, timing

from mnist_diffusion import cli
from mnist_diffusion.tracking import store, sync

INCOMPLETE = "MLflow is not complete, the files are fine; run `mnist-diffusion track --sync`"
ODD_NAMES = ("feature%2Fx", "100%", "a?b#c", "кириллица", "it's [1];+&")
"""Folders that an address would escape, or take for something else."""


def test_a_cell_reads_back_with_what_made_it_and_how_it_scored(repository, capfd):
    log(replace(RECORD, name="cosine-class", timing=timing(dvc_experiment="bold-move")))
    assert capfd.readouterr().err == ""
    _, [run] = logged(store.CELLS)
    assert run.info.run_name == "cosine-class"
    assert run.info.status == "FINISHED"
    assert run.info.end_time == datetime(2026, 11, 1, 12, tzinfo=UTC).timestamp() * 1000
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
        "git_commit": COMMIT,
        "git_dirty": "false",
        "dvc_experiment": "bold-move",
    }
    assert wanted.items() <= run.data.tags.items()
    assert (repository / "mlflow.db").is_file()


def test_history_keeps_every_value_at_its_step(repository):
    points = [("loss", 1 / step, step) for step in range(1, 2302)]
    points.append(("gradient_norm", math.nan, 5))
    log(replace(RECORD, stage="train", name="cosine-class", history=points))
    client, [run] = logged(store.TRAINING)
    history = client.get_metric_history(run.info.run_id, "loss")
    assert sorted((m.step, m.value) for m in history) == [(s, 1 / s) for s in range(1, 2302)]
    [norm] = client.get_metric_history(run.info.run_id, "gradient_norm")
    assert math.isnan(norm.value)
    assert run.data.tags["run"] == "cosine-class"


def test_long_and_many_parameters_are_kept(repository, capfd):
    params = {f"p{k}": k for k in range(250)} | {"long": "x" * 20_000}
    tags = {"long": "y" * 20_000}
    log(replace(RECORD, stage="prepare", name=None, params=params, tags=tags))
    assert capfd.readouterr().err == ""
    _, [run] = logged(store.PIPELINE)
    assert run.info.run_name == "prepare"
    assert len(run.data.params) == 251
    assert set(run.data.params["long"]) == {"x"}
    assert set(run.data.tags["long"]) == {"y"}


@pytest.mark.parametrize("name", ["a clone", *ODD_NAMES])
def test_files_and_pictures_lie_in_the_repository_whatever_its_name(
    name, repository, tmp_path, monkeypatch, capfd
):
    """Fault: of `feature%2Fx` SQLAlchemy made `feature/x`, and nothing was logged for ever."""
    folder = tmp_path / name
    if folder != repository:
        repository.rename(folder)
    monkeypatch.setenv("DVC_ROOT", str(folder))
    (tmp_path / "scores.json").write_bytes(b"{}")
    digits = Image.fromarray(np.arange(100, dtype=np.uint8).reshape(10, 10))
    pictures = [(0, digits), (7, digits)]
    files = [tmp_path / "scores.json", tmp_path / "gone.png"]
    log(replace(RECORD, files=files, pictures=lambda: pictures))
    assert capfd.readouterr().err == ""
    client, [run] = logged(store.CELLS)
    files = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert files == {"scores.json", "images"}
    kept = [path for path in folder.rglob("*.png") if "digits+step+" in path.name]
    assert {path.name.split("+")[2] for path in kept} == {"0", "7"}
    assert np.array_equal(np.asarray(Image.open(kept[0])), np.asarray(digits))
    assert {path.name for path in tmp_path.iterdir()} == {name, "scores.json"}


def test_the_same_result_of_another_time_is_the_same_run(repository):
    log(RECORD)
    log(replace(RECORD, timing=timing(2.0), marks={"scale": "laptop"}))
    _, [run] = logged(store.CELLS)
    assert (run.data.metrics["seconds"], run.data.tags["latest"]) == (10.0, "true")
    assert run.data.tags["scale"] == "laptop"  # now


OPEN = """
from mnist_diffusion.tracking import store, sync
with store.exclusive(300):
    store.open_store()
"""


def test_processes_that_meet_a_fresh_database_all_open_it(fresh_repository):
    command = [sys.executable, "-c", OPEN]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    assert [process.communicate(timeout=300)[1] for process in processes] == [b"", b""]
    assert logged(store.CELLS)[1] == []


@pytest.mark.parametrize(
    "uri", ["nonsense://", "sqlite:////proc/none/mlflow.db", "mlruns", "sqlite:///corrupt.db"]
)
def test_a_store_that_cannot_be_opened_costs_one_line(repository, monkeypatch, capfd, uri):
    monkeypatch.chdir(repository)
    (repository / "corrupt.db").write_bytes(b"not a database" * 100)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    log(RECORD)
    assert_one_warning(capfd, INCOMPLETE)


def test_the_folder_of_a_store_that_is_named_is_made(repository, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/new/x.db")
    log(RECORD)
    assert capfd.readouterr().err == ""
    assert (tmp_path / "new/x.db").is_file()


def test_a_store_that_never_answers_is_given_up(repository, monkeypatch, capfd):
    monkeypatch.setattr(store, "LIMIT_SECONDS", 0.2)
    monkeypatch.setattr(sync, "SECONDS_EACH", 0.0)
    monkeypatch.setattr(store, "open_store", lambda: time.sleep(5))
    start = time.monotonic()
    log(RECORD)
    assert time.monotonic() - start < 3
    assert_one_warning(capfd, INCOMPLETE)


def test_the_store_of_a_dvc_experiment_is_that_of_the_repository(repository, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert store.database_file(store.tracking_uri()) == repository / "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    assert store.tracking_uri() == "http://elsewhere"


def test_a_folder_of_a_larger_git_repository_has_its_own_store(tmp_path, monkeypatch):
    """Fault: git's root by hand, DVC's under DVC: two stores."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    (project / "params.yaml").write_text("a: 1\n")
    for folder in (project, project / "src"):
        monkeypatch.chdir(folder)
        monkeypatch.chdir(cli._root())  # where every command goes
        assert store.root() == project
