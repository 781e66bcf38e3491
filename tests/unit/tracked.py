"""What the tests of tracking share."""

import socket

from mnist_diffusion.tracking import flush, note, store
from mnist_diffusion.tracking.records import Record

RECORD = Record(
    params={
        "run": "cosine-class",
        "guidance": 2.0,
        "zero_terminal_snr": True,
        "muon_learning_rate": None,
    },
    metrics={"relative_fd": 0.012, "accuracy_per_class/3": 0.99, "fd@floor": 0.001},
    tags={"samples_sha256": "ab" * 32},
)


def log(stage, name, record, seconds, scale=None):
    """What a long stage does."""
    note(stage, name, record, seconds, scale)
    flush()


def logged(experiment):
    """All runs of an experiment, newest first, read back through a client of MLflow's own."""
    client, experiment_id = store.open_experiment(experiment)
    return client, client.search_runs([experiment_id])


def assert_one_warning(capfd, beginning):
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"warning: {beginning}")
    assert said.err.count("\n") == 1
    assert len(said.err) < 400


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
