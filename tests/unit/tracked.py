"""What the tests of tracking share."""

import socket
import urllib.request
from contextlib import suppress

from mnist_diffusion.provenance.schemas.manifest import Timing
from mnist_diffusion.tracking import store, sync
from mnist_diffusion.tracking.records import Record

COMMIT = "ab" * 20
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def timing(seconds=10.0, **more):
    known = {"finished": "2026-11-01T12:00:00+00:00", "git_commit": COMMIT, "git_dirty": False}
    return Timing(seconds=seconds, images_per_second=50.0, **known, **more)


RECORD = Record(
    params={
        "run": "cosine-class",
        "guidance": 2.0,
        "zero_terminal_snr": True,
        "muon_learning_rate": None,
    },
    metrics={"relative_fd": 0.012, "accuracy_per_class/3": 0.99, "fd_floor": 0.001},
    tags={"samples_sha256": "ab" * 32},
    stage="evaluate",
    name="a",
    timing=timing(),
    marks={"scale": "smoke"},
)


def log(*records):
    """What a sync does with what is published."""
    return sync.log_all(records)


def logged(kind):
    """All runs of an experiment, newest first, read back through a client of MLflow's own."""
    client, experiment_id = store.open_experiment(kind)
    return client, client.search_runs([experiment_id])


def assert_one_warning(capfd, beginning):
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"warning: {beginning}"), said.err
    assert said.err.count("\n") == 1
    assert len(said.err) < 400


def answers(port, path):
    """Whether a server of this machine does, past any proxy."""
    with suppress(OSError):
        DIRECT.open(f"http://127.0.0.1:{port}/{path}", timeout=5).close()
        return True
    return False


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
