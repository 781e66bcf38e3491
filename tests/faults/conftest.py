"""Repositories to break, and the table of what held."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest
from breaking import fitting, replaced
from clones import Clone, new_clone

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Outcome:
    """How a command of ours ended."""

    code: int
    output: str
    """stdout and stderr."""
    writes: list[str]
    """The files that it opened to write, and the folders that it made, in this order."""

    def error(self) -> str:
        """The one line of a refusal."""
        assert self.code == 1, self.output
        (line,) = self.output.splitlines()
        assert line.startswith("error: ") and "; " in line, line
        assert len(line) < 800 and line.isprintable()
        return line


Command = Callable[..., Outcome]
BuildOnce = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def command() -> Iterator[Command]:
    """Runs `mnist-diffusion` in a folder, in a process of its own, with all imports done before."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "DVC_"))}
    server = subprocess.Popen(
        [sys.executable, str(HERE / "forking.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    )
    assert server.stdin and server.stdout

    def run(
        folder: Path,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        kind: str | None = None,
        at: tuple[str, int] = ("", 1),
    ) -> Outcome:
        request = {
            "folder": str(folder),
            "arguments": arguments,
            "environment": {"DVC_ROOT": str(folder), **(environment or {})},
            "kind": kind,
            "at": at,
        }
        print(json.dumps(request), file=server.stdin, flush=True)
        return Outcome(**json.loads(server.stdout.readline()))

    yield run
    server.stdin.close()
    server.wait()


@pytest.fixture(scope="session")
def judged(build_once: BuildOnce, raw_mnist: Path) -> Clone:
    """A repository with prepared digits and a judge, in which nothing is trained."""

    def build(folder: Path) -> None:
        new_clone(folder / "repository", raw_mnist).run("dvc", "repro", "--quiet", "reference")

    return Clone(build_once("judged", build) / "repository")


@pytest.fixture(scope="session")
def trained(build_once: BuildOnce, judged: Clone) -> Clone:
    """A repository in which every run is trained, and nothing sampled."""

    def build(folder: Path) -> None:
        judged.copy(folder / "repository").run("dvc", "repro", "--quiet", "train")

    return Clone(build_once("trained", build) / "repository")


@pytest.fixture(scope="session")
def ran(build_once: BuildOnce, trained: Clone) -> Clone:
    """A repository in which everything has run once; to read, and to copy before it is broken."""

    def build(folder: Path) -> None:
        trained.copy(folder / "repository").run("dvc", "repro", "--quiet")

    return Clone(build_once("ran", build) / "repository")


@pytest.fixture(scope="session")
def clone(ran: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy of what ran, for tests that put back what they break."""
    return ran.copy(tmp_path_factory.mktemp("broken") / "repository")


@pytest.fixture
def refused(clone: Clone, command: Command) -> Callable[..., str]:
    """Expects that a command refuses a file's content, in one line, and changes nothing.

    `fitted` makes the folder's manifest agree with the file, as far as that can be.
    """

    def check(name: str, content: bytes | None, *words: str, fitted: bool = False) -> str:
        with replaced(clone.folder / name, content):
            manifest = (clone.folder / name).parent / "manifest.json"
            told = fitting(clone, manifest, name) if fitted else None
            with replaced(manifest, told) if told else nullcontext():
                before = clone.tree()
                line = command(clone.folder, *words).error()
                assert clone.tree() == before
        assert not list(clone.folder.rglob("canary*"))
        return line

    return check
