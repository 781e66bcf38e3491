import math
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mnist_diffusion.errors import UserError
from mnist_diffusion.stages.record import HistoryPoint, Record
from mnist_diffusion.tracking import log_run, runs, store, ui

RECORD = Record(
    params={"run": "cosine-class", "guidance": 2.0, "clip_x0": True, "muon_learning_rate": None},
    metrics={"relative_fd": 0.012, "accuracy_per_class/3": 0.99, "fd@floor": 0.001},
    tags={"samples_sha256": "ab" * 32},
    images=500,
)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """A database with MLflow's tables, which take seconds to make, and nothing in them."""
    database = tmp_path_factory.mktemp("store") / "mlflow.db"
    store.configure()
    from mlflow.tracking import MlflowClient

    MlflowClient(tracking_uri=f"sqlite:///{database}")
    return database


@pytest.fixture
def fresh_repository(tmp_path, monkeypatch):
    """An empty folder, with a space in its name, as the repository."""
    folder = tmp_path / "a clone"
    folder.mkdir()
    monkeypatch.setenv("DVC_ROOT", str(folder))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    return folder


@pytest.fixture
def repository(fresh_repository, empty_store):
    """The same, with an empty store."""
    shutil.copy(empty_store, fresh_repository)
    return fresh_repository


def logged(experiment):
    """All runs of an experiment, newest first, read back through a client of MLflow's own."""
    client, experiment_id = store.open_experiment(experiment)
    return client, client.search_runs([experiment_id])


def test_a_cell_reads_back_with_what_made_it_and_how_it_scored(repository, capfd):
    log_run("evaluate", "cosine-class", RECORD, 10.0, scale="smoke")
    assert capfd.readouterr().err == ""
    _, [run] = logged(store.CELLS)
    assert run.info.run_name == "cosine-class"
    assert run.info.status == "FINISHED"
    assert run.info.end_time - run.info.start_time == 10_000
    assert run.data.params == {
        "run": "cosine-class",
        "guidance": "2.0",
        "clip_x0": "true",
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
    points = [HistoryPoint("loss", 1 / step, step) for step in range(1, 2302)]
    points.append(HistoryPoint("gradient_norm", math.nan, 5))
    log_run("train", "cosine-class", Record(history=points), 1.0)
    client, [run] = logged(store.TRAINING)
    history = client.get_metric_history(run.info.run_id, "loss")
    assert sorted((m.step, m.value) for m in history) == [(s, 1 / s) for s in range(1, 2302)]
    [norm] = client.get_metric_history(run.info.run_id, "gradient_norm")
    assert math.isnan(norm.value)
    assert run.data.tags["run"] == "cosine-class"


def test_long_and_many_parameters_are_kept(repository, capfd):
    params = {f"p{k}": k for k in range(250)} | {"long": "x" * 20_000}
    log_run("prepare", None, Record(params=params, tags={"long": "y" * 20_000}), 1.0)
    assert capfd.readouterr().err == ""
    _, [run] = logged(store.PIPELINE)
    assert run.info.run_name == "prepare"
    assert len(run.data.params) == 251
    assert set(run.data.params["long"]) == {"x"}
    assert set(run.data.tags["long"]) == {"y"}


def test_artifacts_are_copied_under_the_repository(repository, tmp_path):
    (tmp_path / "grid.png").write_bytes(b"picture")
    log_run("sample", "cosine-class", Record(artifacts=[tmp_path / "grid.png"]), 1.0)
    client, [run] = logged(store.PIPELINE)
    assert run.info.run_name == "sample@cosine-class"
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["grid.png"]
    copies = list((repository / "mlartifacts").rglob("grid.png"))
    assert [copy.read_bytes() for copy in copies] == [b"picture"]


def test_only_the_newest_run_of_a_stage_is_latest(repository):
    for name in ("a", "a", "b"):
        log_run("evaluate", name, RECORD, 1.0)
    _, found = logged(store.CELLS)
    latest = sorted((run.info.run_name, run.data.tags.get("latest")) for run in found)
    assert latest == [("a", "false"), ("a", "true"), ("b", "true")]


def test_a_run_that_could_not_be_written_is_marked_failed(repository, capfd):
    log_run("evaluate", "a", Record(artifacts=[Path("gone.png")]), 1.0)
    assert_one_warning(capfd, "evaluate@a")
    _, [run] = logged(store.CELLS)
    assert run.info.status == "FAILED"
    assert "latest" not in run.data.tags


LOG_ONE = """
import sys
from mnist_diffusion.stages.record import Record
from mnist_diffusion.tracking import log_run
log_run("evaluate", sys.argv[1], Record(metrics={"fd": 1.0}), 1.0)
"""


def test_processes_that_meet_a_fresh_database_all_log(fresh_repository):
    commands = [[sys.executable, "-c", LOG_ONE, name] for name in "ab"]
    processes = [
        subprocess.Popen(c, cwd=fresh_repository, stderr=subprocess.PIPE) for c in commands
    ]
    said = [process.communicate(timeout=300)[1] for process in processes]
    assert said == [b"", b""]
    _, found = logged(store.CELLS)
    assert sorted(run.info.run_name for run in found) == ["a", "b"]
    assert {run.info.status for run in found} == {"FINISHED"}


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def assert_one_warning(capfd, title):
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"warning: {title}: ")
    assert said.err.count("\n") == 1
    assert len(said.err) < 400


def test_a_dead_server_costs_one_line_and_seconds(repository, monkeypatch, capfd):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed_port()}")
    start = time.monotonic()
    log_run("evaluate", "a", RECORD, 1.0)
    assert time.monotonic() - start < 30
    assert_one_warning(capfd, "evaluate@a")


@pytest.mark.parametrize("uri", ["nonsense://", "sqlite:////proc/none/mlflow.db", "mlruns"])
def test_a_store_that_cannot_be_opened_costs_one_line(repository, monkeypatch, capfd, uri):
    monkeypatch.chdir(repository)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    log_run("evaluate", "a", RECORD, 1.0)
    assert_one_warning(capfd, "evaluate@a")


def test_a_corrupt_database_costs_one_line(repository, capfd):
    (repository / "mlflow.db").write_bytes(b"not a database" * 100)
    log_run("evaluate", "a", RECORD, 1.0)
    assert_one_warning(capfd, "evaluate@a")


def test_a_store_that_never_answers_is_given_up(repository, monkeypatch, capfd):
    monkeypatch.setattr(runs, "LIMIT_SECONDS", 0.2)
    monkeypatch.setattr(runs, "open_experiment", lambda _: time.sleep(5))
    start = time.monotonic()
    log_run("evaluate", "a", RECORD, 1.0)
    assert time.monotonic() - start < 3
    assert_one_warning(capfd, "evaluate@a")


def test_an_experiment_that_was_deleted_by_hand_comes_back(repository, capfd):
    client, experiment_id = store.open_experiment(store.CELLS)
    client.delete_experiment(experiment_id)
    log_run("evaluate", "a", RECORD, 1.0)
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
    log_run("evaluate", "clean", RECORD, 1.0)  # leaves mlflow.db behind, which is no dirt
    log_run("evaluate", "same", RECORD, 1.0)
    (repository / "params.yaml").write_text("a: 2\n")
    monkeypatch.setenv("DVC_EXP_NAME", "bold-move")
    log_run("evaluate", "dirty", RECORD, 1.0)
    tags = {run.info.run_name: run.data.tags for run in logged(store.CELLS)[1]}
    assert {name: tag["git_dirty"] for name, tag in tags.items()} == {
        "clean": "false",
        "same": "false",
        "dirty": "true",
    }
    assert {tag["git_commit"] for tag in tags.values()} == {git("rev-parse", "HEAD")}
    assert tags["dirty"]["dvc_experiment"] == "bold-move"
    assert "dvc_experiment" not in tags["clean"]


SERVE = "import sys; from mnist_diffusion.tracking.ui import serve; serve(int(sys.argv[1]))"


@pytest.fixture
def pages(repository):
    """The server at work: its port and the lines it printed."""
    port = closed_port()
    command = [sys.executable, "-c", SERVE, str(port)]
    process = subprocess.Popen(command, cwd=repository, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    yield port, [process.stdout.readline() for _ in range(2 * len(store.EXPERIMENTS) + 1)]
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=5).close()


def test_a_server_takes_runs_and_shows_a_view_of_them(pages, tmp_path, monkeypatch, capfd):
    port, lines = pages
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    (tmp_path / "grid.png").write_bytes(b"picture")
    log_run("evaluate", "a", replace(RECORD, artifacts=[tmp_path / "grid.png"]), 1.0)
    assert capfd.readouterr().err == ""
    client, [run] = logged(store.CELLS)
    assert run.info.status == "FINISHED"
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["grid.png"]
    experiment = client.get_experiment(run.info.experiment_id)
    assert "relative_fd" in experiment.tags["mlflow.sharedViewState.latest"]
    assert f"http://127.0.0.1:{port}/#/experiments/{experiment.experiment_id}/runs?" in lines[0]


def test_a_taken_port_is_refused(repository):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"^port {port}: .*; choose another$"):
            ui.serve(port)


def test_a_dead_server_is_refused_by_the_pages(repository, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(UserError, match="MLFLOW_TRACKING_URI"):
        ui.serve()
