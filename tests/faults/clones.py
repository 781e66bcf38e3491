"""Repositories to break: the working tree as a repository of its own, at the smoke scale."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from audited import commit

from mnist_diffusion.provenance.digests import content_digest, file_digest

REPOSITORY = Path(__file__).parents[2]
PAUSING = Path(__file__).parent / "pausing.py"
BIN = Path(sys.executable).parent
LEFT_OUT = ("reports/", "dvc.lock", "docs/")
PUBLISHED = ("data/prepared", "data/reference", "data/samples", "models", "reports", "dvc.lock")
PATIENCE_SECONDS = 600
"""For a command that hangs; a machine that is busy elsewhere is slow, too."""


class Process:
    """A command whose stage waits in the middle of its work."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, log: Path):
        self._process = process
        self._paused, self._go = folder / ".work/paused", folder / ".work/go"
        self._log = log

    def wait_for_pause(self) -> None:
        """Return when the stage waits."""
        while not self._paused.exists():
            assert self._process.poll() is None, self._log.read_text()
            time.sleep(0.02)
        self.stage = psutil.Process(int(self._paused.read_text()))

    def send(self, number: int, *, group: bool) -> None:
        """Send a signal to DVC alone, or to it and all that it has started, and let DVC end."""
        if group:
            os.killpg(self._process.pid, number)
        else:
            self._process.send_signal(number)
        self._process.wait(PATIENCE_SECONDS)

    def stage_has_ended(self) -> bool:
        """Whether the stage ends within seconds; a dead one that nobody has buried has ended."""
        for _ in range(500):
            if not self.stage.is_running() or self.stage.status() == psutil.STATUS_ZOMBIE:
                return True
            time.sleep(0.02)
        self.stage.kill()
        return False

    def go_on(self) -> tuple[int, str]:
        """Let the stage work; the exit code, and what was said."""
        self._go.touch()
        code = self._process.wait(PATIENCE_SECONDS)
        return code, self._log.read_text()


class Clone:
    """A repository in a folder, and the environment to run its own source in."""

    def __init__(self, folder: Path):
        self.folder = folder
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "DVC_", "GIT_"))
        }
        self.environment = kept | {
            "PATH": f"{BIN}{os.pathsep}{kept['PATH']}",
            "PYTHONPATH": str(folder / "src"),
        }

    def call(self, *command: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; stdout and stderr are both in stdout."""
        settings = {"cwd": self.folder, "env": self.environment, "timeout": PATIENCE_SECONDS}
        return subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **settings | options,
        )

    def run(self, *command: str, **options: Any) -> str:
        """Run a command that must work; what it said."""
        done = self.call(*command, **options)
        assert done.returncode == 0, done.stdout[-4000:]
        return done.stdout

    def start(self, *command: str, pause: str) -> Process:
        """Start a command in a session of its own, and return when the stage `pause` waits."""
        place = self.folder / ".work/bin/mnist-diffusion"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{PAUSING}" "$@"\n')
        place.chmod(0o755)
        path = f"{place.parent}{os.pathsep}{self.environment['PATH']}"
        log = self.folder.with_suffix(".log")
        with log.open("w") as file:
            started = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment | {"PATH": path, "PAUSE": pause},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_heed_interrupts,
            )
        process = Process(started, self.folder, log)
        process.wait_for_pause()
        return process

    def copy(self, target: Path) -> Clone:
        """Another clone with the same content.

        What nothing writes in place, DVC's cache and MNIST itself, is linked, not copied.
        """

        def linked(source: str, destination: str) -> object:
            inside = Path(source).relative_to(self.folder).as_posix()
            whole = not inside.startswith((".dvc/cache/", "data/raw/"))
            return shutil.copy2(source, destination) if whole else os.link(source, destination)

        return Clone(
            Path(shutil.copytree(self.folder, target, symlinks=True, copy_function=linked))
        )

    def contents(self, *places: str) -> dict[str, str]:
        """Content digests of what stages published, by path; all of it, or some places' of it."""
        wanted = places or PUBLISHED[:-1]
        return {name: content_digest(self.folder / name) for name in self._files(wanted)}

    def tree(self, *places: str) -> dict[str, str]:
        """Digests of all published files' bytes, and of where links lead."""
        files = self._files(places or PUBLISHED)
        return {name: _bytes_digest(self.folder / name) for name in files}

    def _files(self, places: tuple[str, ...]) -> Iterator[str]:
        for place in places:
            path = self.folder / place
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                name = file.relative_to(self.folder).as_posix()
                if file.is_file() and not name.startswith("reports/timings"):
                    yield name


def new_clone(folder: Path, raw_mnist: Path) -> Clone:
    """The working tree as it is, committed, with MNIST in it; nothing has run."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if not name.startswith(LEFT_OUT) and (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, folder / name)
    clone = Clone(folder)
    put_mnist(raw_mnist, folder / "data/raw")
    commit(folder, "as it is")
    clone.run("mnist-diffusion", "scale", "smoke")
    return clone


def put_mnist(raw_mnist: Path, target: Path) -> None:
    """Copy the four files, and nothing that DVC keeps beside them."""
    shutil.copytree(raw_mnist, target, ignore=lambda _, names: {".gitignore"} & {*names})


def _heed_interrupts() -> None:
    """As a terminal's processes do; those that a shell starts in the background ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _bytes_digest(path: Path) -> str:
    return f"link to {path.readlink()}" if path.is_symlink() else file_digest(path)
