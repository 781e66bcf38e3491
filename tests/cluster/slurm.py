"""Slurm on this machine alone: real daemons, nodes in network namespaces, GPUs by name only."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

DAEMONS = ("munged", "slurmctld", "slurmd")
NEEDED = (*DAEMONS, "sbatch", "scontrol", "squeue", "ip", "nsenter")
PACKAGES = "slurmctld slurmd slurm-client munge iproute2"
NETWORK = "10.77.0"
"""The first three numbers of addresses; the controller's is 254, the nodes' are 1, 2, …"""
BRIDGE, CONTROLLER = "mnistbr", 254
PATIENCE_SECONDS = 300
CONF = """\
ClusterName=test
SlurmctldHost={host}({network}.254)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldPort=16817
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
MpiDefault=none
ReturnToService=2
SlurmdTimeout=30
KillWait=5
SlurmdParameters=config_overrides
PartitionName=main Nodes=ALL Default=YES State=UP
"""
NODE = "NodeName={name} NodeHostname={host} NodeAddr={address} Port=17001 CPUs=2 Gres=gpu:{gpus}\n"


class Slurm:
    """A controller and some nodes that see the same disk, each with an address of its own."""

    def __init__(self, folder: Path, nodes: int, gpus: int):
        self.folder = folder
        self.nodes = {f"node{number}": f"{NETWORK}.{number}" for number in range(1, nodes + 1)}
        self.environment = os.environ | {"SLURM_CONF": f"{folder}/slurm.conf"}
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._configure(gpus)

    def start(self) -> None:
        """Return when all nodes wait for jobs."""
        self._connect()
        # Paths below /tmp, and a key that is used once, are no secret worth munge's checks.
        files = [f"--{name}-file={self.folder}/munge.{name}" for name in ("key", "pid", "log")]
        files += [f"--seed-file={self.folder}/munge.seed", f"--socket={self.folder}/munge.socket"]
        self._daemon("munged", "munged", "--foreground", "--force", *files)
        self._wait_until((self.folder / "munge.socket").exists, "munged")
        self._daemon("slurmctld", "slurmctld", "-D")
        for name in self.nodes:
            # `ip netns exec` would hide the system's cgroups, without which no slurmd starts.
            self._daemon(name, "nsenter", f"--net=/run/netns/{name}", "slurmd", "-D", "-N", name)
        self._wait_until(self._all_idle, "nodes")

    def submit(self, script: str, folder: Path, environment: dict[str, str], *options: str) -> str:
        """Submit a script from a folder; the job's number."""
        environment = environment | {"SLURM_CONF": self.environment["SLURM_CONF"]}
        command = ["sbatch", "--parsable", *options, script]
        return self._output(*command, cwd=folder, env=environment).strip()

    def job(self, number: str) -> dict[str, str]:
        """What Slurm tells of a job."""
        words = self._output("scontrol", "--oneliner", "show", "job", number).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def wait(self, number: str) -> str:
        """The state in which a job ends."""

        def has_ended() -> bool:
            return self.job(number)["JobState"] not in ("PENDING", "RUNNING", "COMPLETING")

        self._wait_until(has_ended, f"job {number}")
        return self.job(number)["JobState"]

    def processes(self, node: str) -> Iterator[psutil.Process]:
        """All that runs on a node."""
        for pid in self._output("ip", "netns", "pids", node).split():
            with suppress(psutil.NoSuchProcess):
                yield psutil.Process(int(pid))

    def lose(self, node: str) -> None:
        """A node loses its power: nothing of it runs or answers any more, and Slurm is told."""
        self._ip("-n", node, "link", "set", "eth0", "down")
        for process in self.processes(node):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._output("scontrol", "update", f"nodename={node}", "state=down", "reason=lost")

    def stop(self) -> None:
        """End all of it, jobs too, and take the network away."""
        for name in reversed(self._daemons):
            self._daemons[name].send_signal(signal.SIGTERM)
        for daemon in self._daemons.values():
            with suppress(subprocess.TimeoutExpired):
                daemon.wait(5)
            daemon.kill()
        for name in self.nodes:
            with suppress(AssertionError):
                [process.kill() for process in self.processes(name)]
        self._disconnect()

    def _configure(self, gpus: int) -> None:
        host = socket.gethostname().partition(".")[0]
        (self.folder / "munge.key").write_bytes(os.urandom(128))
        (self.folder / "munge.key").chmod(0o400)
        conf = CONF.format(host=host, network=NETWORK, folder=self.folder)
        for name, address in self.nodes.items():
            (self.folder / f"spool-{name}").mkdir()
            conf += NODE.format(name=name, host=host, address=address, gpus=gpus)
        (self.folder / "slurm.conf").write_text(conf)
        for number in range(gpus):  # Slurm asks that a GPU be a device: these are /dev/null
            os.mknod(self.folder / f"gpu{number}", 0o20666, os.makedev(1, 3))
        names = f"NodeName={','.join(self.nodes)} Name=gpu"
        (self.folder / "gres.conf").write_text(f"{names} File={self.folder}/gpu[0-{gpus - 1}]\n")

    def _connect(self) -> None:
        self._disconnect()  # what a killed test has left
        self._ip("link", "add", BRIDGE, "type", "bridge")
        self._ip("addr", "add", f"{NETWORK}.{CONTROLLER}/24", "dev", BRIDGE)
        self._ip("link", "set", BRIDGE, "up")
        for name, address in self.nodes.items():
            self._ip("netns", "add", name)
            peer = ("peer", "name", "eth0", "netns", name)
            self._ip("link", "add", f"mnist{name}", "type", "veth", *peer)
            self._ip("link", "set", f"mnist{name}", "master", BRIDGE, "up")
            self._ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
            for link in ("lo", "eth0"):
                self._ip("-n", name, "link", "set", link, "up")
            self._ip("-n", name, "route", "add", "default", "via", f"{NETWORK}.{CONTROLLER}")

    def _disconnect(self) -> None:
        for name in self.nodes:
            with suppress(AssertionError):
                self._ip("netns", "del", name)
        with suppress(AssertionError):
            self._ip("link", "del", BRIDGE)

    def _all_idle(self) -> bool:
        states = self._output("scontrol", "--oneliner", "show", "node", ok=None)
        return states.count("State=IDLE ") == len(self.nodes)

    def _daemon(self, name: str, *command: str) -> None:
        with (self.folder / f"{name}.said").open("w") as said:
            self._daemons[name] = subprocess.Popen(
                command, env=self.environment, stdout=said, stderr=said, start_new_session=True
            )

    def _wait_until(self, true: object, what: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not true():  # type: ignore[operator]
            assert time.monotonic() < deadline, f"{what}: not ready; see {self.folder}"
            time.sleep(0.2)

    def _ip(self, *words: str) -> None:
        self._output("ip", *words)

    def _output(self, *command: str, ok: int | None = 0, **options: object) -> str:
        settings = {"env": self.environment} | options
        done = subprocess.run(command, capture_output=True, text=True, **settings)
        assert ok is None or done.returncode == ok, f"{command}: {done.stderr}"
        return done.stdout
