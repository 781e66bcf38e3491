import signal
import socket
import subprocess
import sys
from dataclasses import replace

import pytest
from PIL import Image
from small_project import wait_until
from tracked import RECORD, answers, closed_port, log, logged

from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.tracking import store, ui

SERVE = "import sys; from mnist_diffusion.tracking import ui; ui.show_pages(int(sys.argv[1]))"


@pytest.fixture
def pages(repository):
    """The server at work: its port and the lines it printed."""
    log(RECORD)
    port = closed_port()
    command = [sys.executable, "-c", SERVE, str(port)]
    process = subprocess.Popen(command, cwd=repository, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    yield port, [process.stdout.readline() for _ in range(len(ui._pages()["views"]) + 2)]
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == -signal.SIGTERM
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=5).close()


def test_a_server_takes_runs_and_shows_a_view_of_them(pages, tmp_path, monkeypatch, capfd):
    port, lines = pages
    wait_until(lambda: answers(port, "health"), 120)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mnist-diffusion")
    (tmp_path / "scores.json").write_bytes(b"{}")
    digits = Image.new("L", (10, 10))
    log(replace(RECORD, name="b", files=[tmp_path / "scores.json"], pictures=lambda: [(0, digits)]))
    assert capfd.readouterr().err == ""
    client, found = logged(store.CELLS)
    run, _ = sorted(found, key=lambda run: run.info.run_name, reverse=True)
    assert (run.info.run_name, run.info.status) == ("b", "FINISHED")
    files = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert files == {"scores.json", "images"}
    experiment = client.get_experiment(run.info.experiment_id)
    assert "fd_infinity" in experiment.tags["mlflow.sharedViewState.latest"]
    assert f"http://127.0.0.1:{port}/#/experiments/{experiment.experiment_id}/runs?" in lines[0]
    assert f"http://127.0.0.1:{port}/#/models/mnist-diffusion?" in lines[-2]


def test_a_taken_port_is_refused(repository):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"^port {port}: .*; choose another$"):
            ui.show_pages(port)


def test_a_dead_server_is_refused_by_the_pages(repository, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(UserError, match="MLFLOW_TRACKING_URI"):
        ui.show_pages()
