"""A store that fails in every way it can: work goes on, in bounded time, and nothing is lost."""

import os
import resource
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from mnist_diffusion.tracking import store

pytestmark = pytest.mark.faults

SETUP = """
from mnist_diffusion.tracking.records import Record
from mnist_diffusion.tracking.sync import log_all
def trained(name, history=[("loss", 1 / k, k) for k in (1, 2)]):
    digests = {"weights_sha256": "ab" * 32}
    return Record({"lr": 0.1}, {"loss": 0.5}, digests, history, stage="train", name=name)
"""
SYNC = f'{SETUP}\nprint(log_all(list(map(trained, "abc")), {{"train@a", "train@b", "train@c"}}))'
MANY = f"""
{SETUP}
log_all([trained("a"), trained("b", [("loss", 1 / k, k) for k in range(1, 20000)])])
"""
KILL = f"""
import os, signal, sys
from mnist_diffusion.tracking import store
store.configure()
from mlflow.tracking import MlflowClient
left = int(sys.argv[1])
def deadly(method):
    def call(*arguments, **options):
        global left
        answer = method(*arguments, **options)
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer
    return call
for name in ("create_run", "log_batch", "set_tag", "set_terminated", "delete_run"):
    setattr(MlflowClient, name, deadly(getattr(MlflowClient, name)))
{SYNC}
"""
HOLD = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute(f"BEGIN {sys.argv[2]}")
print("held", flush=True)
time.sleep(600)
"""
INCOMPLETE = "MLflow is not complete, the files are fine; run `mnist-diffusion track --sync` when"
SETPRIV = shutil.which("setpriv")
DROP = ["--bounding-set", "-dac_override,-dac_read_search"]
UNPRIVILEGED = [SETPRIV, *DROP] if SETPRIV and os.geteuid() == 0 else []
"""Makes even root keep to the permissions of files."""
BOUND = 160
"""Seconds: the limit of a sync of three, and what a process takes to start and end."""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def database(repository: Path) -> Path:
    with store.exclusive(60):
        store.open_store()
    return repository / "mlflow.db"


def python(
    code: str, before: Sequence[str] = (), limit: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [*before, sys.executable, "-c", code]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=BOUND, preexec_fn=limit, check=False
    )


def assert_survived(done: subprocess.CompletedProcess[str], beginning: str) -> None:
    assert done.returncode == 0
    assert done.stderr.startswith(f"warning: {beginning}"), done.stderr
    assert done.stderr.count("\n") == 1 and len(done.stderr) < 400


def assert_nothing_is_lost_and_nothing_is_double(repository: Path) -> None:
    """The store is well again: what is missing is logged, and each once."""
    for _ in range(2):
        done = python(SYNC)
        assert done.stderr == ""
    assert done.stdout.startswith("0 logged, 3 already there, 0 failed")
    client, experiment = store.open_experiment(store.TRAINING)
    runs = client.search_runs([experiment])
    assert sorted(run.info.run_name for run in runs) == ["a", "b", "c"]
    assert {run.info.status for run in runs} == {"FINISHED"}
    for run in runs:
        history = client.get_metric_history(run.info.run_id, "loss")
        assert sorted((m.step, m.value) for m in history) == [(0, 0.5), (1, 1.0), (2, 0.5)]


class Broken(BaseHTTPRequestHandler):
    """500 to whatever is asked."""

    def answer(self) -> None:
        self.send_response(500)
        self.end_headers()
        self.wfile.write(b"out of order")

    do_GET = do_POST = do_PUT = answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


class Silent(Broken):
    """Takes a question and never answers."""

    def answer(self) -> None:
        time.sleep(BOUND)

    do_GET = do_POST = do_PUT = answer  # noqa: N815


class Torn(Broken):
    """Ends the connection in the middle of an answer."""

    def answer(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b'{"experiment": {"exper')

    do_GET = do_POST = do_PUT = answer  # noqa: N815


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@contextmanager
def mute() -> Iterator[str]:
    """A port whose backlog takes connections that nobody ever accepts."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def down() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    yield f"http://127.0.0.1:{port}"


SERVERS = {
    "down": down,
    "mute": mute,
    "hangs": lambda: serving(Silent),
    "answers 500": lambda: serving(Broken),
    "tears its answers": lambda: serving(Torn),
}


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
def test_a_server(server, repository, monkeypatch, record_property) -> None:
    with server() as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        start = time.monotonic()
        done = python(SYNC)
        record_property("sync_seconds", time.monotonic() - start)
        assert_survived(done, INCOMPLETE)
        assert done.stdout == "0 logged, 0 already there, 3 failed\n"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert_nothing_is_lost_and_nothing_is_double(repository)


@pytest.mark.parametrize("lock", ["IMMEDIATE", "EXCLUSIVE"])
def test_a_database_that_another_process_has_locked(lock, repository, database, record_property):
    """IMMEDIATE lets others read, EXCLUSIVE does not."""
    command = [sys.executable, "-c", HOLD, str(database), lock]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        start = time.monotonic()
        assert_survived(python(SYNC), INCOMPLETE)
        record_property("seconds", time.monotonic() - start)
        holder.kill()
    assert_nothing_is_lost_and_nothing_is_double(repository)


@pytest.mark.skipif(os.geteuid() == 0 and not SETPRIV, reason="root may write anything")
@pytest.mark.parametrize("where", ["database", "folder"])
def test_a_store_that_cannot_be_written(where, repository, database) -> None:
    database.chmod(0o444)
    if where == "folder":
        repository.chmod(0o555)
    done = python(SYNC, UNPRIVILEGED)
    assert_survived(done, INCOMPLETE)
    assert done.stdout == "0 logged, 0 already there, 3 failed\n"
    for path in (repository, *repository.rglob("*")):
        path.chmod(0o755)
    assert_nothing_is_lost_and_nothing_is_double(repository)


def test_a_disk_that_is_full(repository, database) -> None:
    """The database may not grow, by a limit that works on any disk."""
    with sqlite3.connect(database) as connection:
        connection.execute("VACUUM")
    limit = database.stat().st_size

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    assert_survived(python(MANY, limit=full), INCOMPLETE)
    assert_nothing_is_lost_and_nothing_is_double(repository)


def test_kills_between_any_two_writes_of_a_sync(repository, database) -> None:
    """One after another in the same store, each a little further, so that halves pile up."""
    killed = 0
    for writes in range(1, 9):
        command = [sys.executable, "-c", KILL, str(writes)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=BOUND)
        killed += done.returncode == -9
    assert killed >= 6  # a run is five writes, and a half is deleted first
    assert_nothing_is_lost_and_nothing_is_double(repository)
