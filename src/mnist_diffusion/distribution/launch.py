"""A stage as several processes of one host, which share its work: by torchrun, on the loopback."""

from __future__ import annotations

import importlib
import os
import signal
import socket
import sys
from typing import Any

from mnist_diffusion.distribution.bundle import RANKS
from mnist_diffusion.runtime.threads import VARIABLE, worker_count

LOOPBACK = "127.0.0.1"


def share_out() -> None:
    """Become a torchrun of the same command, if this process is to be several; or do nothing.

    They share its threads.
    """
    ranks = int(os.environ.pop(RANKS, "1"))
    if ranks == 1:
        return
    os.environ[VARIABLE] = str(max(1, worker_count() // ranks))
    os.environ |= {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}
    options = ["--standalone", "--local-addr", LOOPBACK, "--nproc-per-node", str(ranks)]
    options += ["--log-dir", os.devnull]  # or it leaves a folder for good
    command = [*options, "-m", "mnist_diffusion", *sys.argv[1:]]
    os.execv(sys.executable, [sys.executable, "-m", __name__, *command])


def _torchrun() -> None:
    """Torchrun, whose stores would listen on all addresses, and ask nobody who he is."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main

    places: list[Any] = [
        importlib.import_module("torch.distributed"),
        importlib.import_module("torch.distributed.elastic.rendezvous.c10d_rendezvous_backend"),
    ]
    store = places[0].TCPStore

    def on_loopback(host_name: str, port: int, is_master: bool = False, **options: Any) -> Any:
        if is_master:
            server = socket.create_server((LOOPBACK, port))
            port = server.getsockname()[1]
            options["master_listen_fd"] = server.detach()
        return store(host_name, port, is_master=is_master, **options)

    for place in places:
        place.TCPStore = on_loopback
    try:
        main()
    except ChildFailedError as error:  # which has told why, unless it was killed
        killed = any(one.exitcode == -signal.SIGKILL for one in error.failures.values())
        raise SystemExit(128 + signal.SIGKILL if killed else 1) from None


if __name__ == "__main__":
    _torchrun()
