"""`mnist-diffusion ui`: MLflow's pages on what was logged, for this machine only."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import psutil

from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.tracking import store
from mnist_diffusion.tracking.flushing import LIMIT_SECONDS, flush, within
from mnist_diffusion.tracking.views import links, publish_views

HOST = "127.0.0.1"
START_SECONDS = 90.0
END_SECONDS = 20.0


def serve(
    port: int = 5000, open_links: bool = False, complete: Callable[[], object] = flush
) -> None:
    """Serve MLflow on 127.0.0.1 until Ctrl-C, having printed a link to each view.

    `complete` logs what MLflow lacks, before that. Where MLFLOW_TRACKING_URI names a server, that
    one is linked to and nothing is started. UserError if the store cannot be opened or the port is
    taken.
    """
    uri = store.tracking_uri()
    if uri.startswith(("http://", "https://")):
        _show(uri.rstrip("/"), _prepare(complete), open_links)
        return
    _require_free(port)
    experiments = _prepare(complete)
    with _server(uri, port) as process:
        _show(f"http://{HOST}:{port}", experiments, open_links)
        _say("Ctrl-C ends it.")
        process.wait()


def _prepare(complete: Callable[[], object]) -> dict[str, str]:
    """Make what is missing of the store, and log the runs it lacks; experiment ids by name."""
    try:
        experiments = within(LIMIT_SECONDS, _open)
    except Exception as error:
        cause = " ".join(str(error).split())[:200]
        raise UserError(
            f"{store.tracking_uri()}: {cause}; mend or unset MLFLOW_TRACKING_URI, or move it away"
        ) from None
    try:
        complete()
    except UserError as error:  # the settings are broken: what is in MLflow can still be seen
        sys.stderr.write(f"warning: {error}\n")
        flush()
    return experiments


def _open() -> dict[str, str]:
    experiments = {}
    for name in store.EXPERIMENTS:
        client, experiments[name] = store.open_experiment(name)
        publish_views(client, experiments[name], name)
    return experiments


def _show(server: str, experiments: Mapping[str, str], open_links: bool) -> None:
    pages = links(server, experiments)
    for title, address in pages.items():
        _say(f"{title:<18} {address}")
    if open_links:
        webbrowser.open(next(iter(pages.values())))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError):
            raise UserError(f"port {port}: cannot be opened; choose another") from None


@contextmanager
def _server(uri: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A server that answers; it ends with the block."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", uri]
    command += ["--artifacts-destination", str(store.artifacts())]
    # One worker and no job runner: 2 processes instead of 15, half a gigabyte instead of 2.5.
    environment = {
        **os.environ,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_LOGGING_LEVEL": "ERROR",
    }
    # A plain SIGTERM would leave the server behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    process = subprocess.Popen(command, cwd=store.root(), env=environment, stdout=sys.stderr)
    try:
        _wait_until_it_answers(process, port)
        yield process
    except KeyboardInterrupt:
        pass
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask a server to end, and see to it where it does not: with what it has started."""
    started = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    try:
        process.wait(timeout=END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in psutil.wait_procs(started, timeout=1)[1]:
        child.kill()


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            direct.open(f"http://{HOST}:{port}/health", timeout=2)
            return
        except OSError:
            time.sleep(0.2)
    raise UserError(f"mlflow server: did not start on port {port}; see its lines above")
