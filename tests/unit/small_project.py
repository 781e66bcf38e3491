"""A DVC project of small commands, and what of it runs: real DVC, real processes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
from ruamel.yaml import YAML

STAGE = """
import os, sys, time
from pathlib import Path
home = Path({home!r})
source, target, seconds = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
text = source.read_text()
if "bad" in str(target) and (home / "bad").exists():
    sys.exit("error: it is bad; make it good")
log = home / "log" / target.name
log.parent.mkdir(exist_ok=True)
begun = time.time()
log.write_text(f"{{begun}} inf")
kept = Path(".work/resume", os.environ["DVC_STAGE"].rpartition(":")[2], "steps")
done = float(kept.read_text()) if kept.exists() else 0.0
with (home / "log/all").open("a") as file:
    file.write(f"{{os.getpid()}} {{target.name}} {{done}}\\n")
while done < seconds:
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.with_name(".new").write_text(str(done))
    kept.with_name(".new").rename(kept)
    time.sleep(0.2)
    done += 0.2
if kept.exists():
    kept.unlink()
target.parent.mkdir(exist_ok=True)
target.write_text(text + target.name)
log.write_text(f"{{begun}} {{time.time()}}")
"""
PIPELINE = """
stages:
  prepare:
    cmd: python stage.py raw prepared 0
    deps: [raw]
    outs: [prepared]
  train:
    foreach: ${runs}
    do:
      cmd: python stage.py prepared ${key}.model ${item}
      deps: [prepared]
      outs: ["${key}.model"]
  sample:
    foreach: ${runs}
    do:
      cmd: python stage.py ${key}.model samples-${key}/sample 0
      deps: ["${key}.model"]
      outs:
        - samples-${key}: {cache: false}
"""
# Tests that run in the background are deaf to interrupts, and so would be what they start.
REPRODUCE = """
import json, os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from mnist_diffusion.distribution import dispatch, repro
if "SETTLE" in os.environ:
    dispatch.SECONDS_BETWEEN_SETTLEMENTS = float(os.environ["SETTLE"])
if "APART" in os.environ:  # hosts that do not see one another's disks
    repro.all_see = lambda *_: False
from mnist_diffusion.runtime.errors import UserError, describe_os_error
try:
    repro.reproduce(**json.loads(sys.argv[1]))
except UserError as error:
    sys.exit(f"error: {error}")
except OSError as error:
    sys.exit(f"error: {describe_os_error(error)}")
"""
PATIENCE = 600


class Project:
    """A folder with DVC and a pipeline, whose trainings take as long as `runs` has it."""

    def __init__(self, folder: Path, **runs: float):
        self.folder = folder
        (folder / ".dvc").mkdir(parents=True)
        (folder / ".dvc/config").write_text("[core]\n  no_scm = true\n  analytics = false\n")
        (folder / "stage.py").write_text(STAGE.format(home=str(folder)))
        (folder / "dvc.yaml").write_text(PIPELINE.replace("python", sys.executable))
        (folder / ".gitignore").write_text("/.work/\n/log/\n")
        (folder / ".dvcignore").write_text(".work/\nlog/\n")
        (folder / "raw").write_text("raw ")
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        subprocess.run(["git", "init", "-q"], cwd=folder, env=self.environment, check=True)
        self.runs(**runs)

    @classmethod
    def at(cls, folder: Path, environment: dict[str, str]) -> Project:
        """One that is there, whatever its stages are."""
        made = cls.__new__(cls)
        made.folder, made.environment = folder, environment
        return made

    def runs(self, **runs: float) -> None:
        """Declare these, by the seconds that they take."""
        YAML().dump({"runs": runs}, self.folder / "params.yaml")

    def start(self, **wishes: Any) -> subprocess.Popen[str]:
        """Bring it up to date, two at a time if nothing else is wished."""
        return subprocess.Popen(
            [sys.executable, "-c", REPRODUCE, json.dumps(wishes or {"jobs": 2})],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def reproduce(self, **wishes: Any) -> list[str]:
        """The stages that ran on workers, in the order of their ends; it must work."""
        process = self.start(**wishes)
        told = process.communicate(timeout=PATIENCE)[0]
        assert process.returncode == 0, told
        here = "^(?!code|fetch|report|playground).*: done here"
        assert not re.search(here, told, re.MULTILINE), told
        return [line.split(":")[0] for line in told.splitlines() if ": done in " in line]

    def spans(self, *names: str) -> list[tuple[float, float]]:
        """When these were worked on."""
        return [tuple(map(float, (self.folder / "log" / n).read_text().split())) for n in names]

    def attempts(self, name: str) -> list[tuple[int, float]]:
        """The processes that have worked on this, and the seconds that were done before each."""
        return attempts(self.folder / "log/all", name)

    def wait_for(self, *names: str) -> None:
        """Return when all of these are being worked on."""
        wait_until(lambda: all((self.folder / "log" / name).exists() for name in names))

    def lock(self) -> dict[str, Any]:
        path = self.folder / "dvc.lock"
        return YAML(typ="safe").load(path)["stages"] if path.exists() else {}


class Cluster:
    """A scheduler, and workers that share nothing but what the project's DVC has for them."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.environment = dict(os.environ) | {"XDG_CONFIG_HOME": str(folder / "config")}
        self._started: list[subprocess.Popen[str]] = []
        self._hosts: list[Path] = []
        self.call("tls")
        self.file = folder / "scheduler.json"
        self.scheduler = self.start("scheduler", "--scheduler-file", str(self.file), "--port", "0")
        wait_until(lambda: self.file.exists() and self.file.stat().st_size)

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "mnist_diffusion", *words]
        return subprocess.run(
            command, env=self.environment, cwd=self.folder, capture_output=True, text=True
        )

    def start(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "mnist_diffusion", *words],
            env=self.environment | variables,
            cwd=self.folder,
            stdout=(self.folder / f"said-{len(self._started)}").open("w"),
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def worker(self, name: str, *words: str, **variables: str) -> subprocess.Popen[str]:
        """One worker of a host of this name, with a scratch folder of its own."""
        cores = str(len(os.sched_getaffinity(0)))
        self._hosts.append(self.folder / name)
        scratch = {"MNIST_DIFFUSION_SCRATCH": str(self.folder / name)}
        return self.start("worker", str(self.file), "--cores", cores, *words, **scratch | variables)

    def said(self) -> str:
        """What the process has said that was started last."""
        return (self.folder / f"said-{len(self._started) - 1}").read_text()

    def end_workers(self) -> None:
        """End all that was started, but the scheduler; hosts that come later keep nothing of it."""
        self._end([process for process in self._started if process is not self.scheduler])
        for host in self._hosts:
            shutil.rmtree(host, ignore_errors=True)

    def close(self) -> None:
        self._end(self._started)

    def _end(self, processes: list[subprocess.Popen[str]]) -> None:
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def attempts(file: Path, name: str) -> list[tuple[int, float]]:
    """The processes that have worked on something, and how much was done before each."""
    lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
    return [(int(line[0]), float(line[2])) for line in lines if line[1] == name]


def is_alive(pid: int) -> bool:
    """Whether it works still; a dead one that nobody has buried does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(true: Any, seconds: float = PATIENCE) -> None:
    """Return as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def those_within(folder: Path) -> list[psutil.Process]:
    """Processes that work in a folder, or below it."""
    found = []
    for process in psutil.process_iter():
        try:
            inside = Path(process.cwd()).is_relative_to(folder)
            if inside and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def all_end(folder: Path, seconds: float = 10) -> bool:
    """Whether nothing works there any more, within a while."""
    deadline = time.monotonic() + seconds
    while there := those_within(folder):
        if time.monotonic() > deadline:
            [process.kill() for process in there]
            return False
        time.sleep(0.1)
    return True
