"""A stage as several processes of one host, which share its work: by torchrun."""

from __future__ import annotations

import os
import sys

from mnist_diffusion.distribution.bundle import RANKS
from mnist_diffusion.runtime.threads import VARIABLE, worker_count


def share_out() -> None:
    """Become a torchrun of the same command, if this process is to be several; or do nothing.

    They share its threads, and speak to one another on the loopback.
    """
    ranks = int(os.environ.pop(RANKS, "1"))
    if ranks == 1:
        return
    os.environ[VARIABLE] = str(max(1, worker_count() // ranks))
    os.environ |= {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}
    torchrun = ["torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
    command = ["--nproc-per-node", str(ranks), "-m", "mnist_diffusion", *sys.argv[1:]]
    os.execv(sys.executable, [sys.executable, "-m", *torchrun, *command])
