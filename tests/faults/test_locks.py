"""DVC's own files cut, muddled or left behind by the dead: survived, or refused in one line"""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from clones import Clone

pytestmark = pytest.mark.faults
TARGET = "evaluate@cosine-class"
Damage = Callable[[bytes], bytes]
LOCKS: dict[str, Damage] = {
    "empty": lambda _: b"",
    "cut to half": lambda text: text[: len(text) // 2],
    "cut within a line": lambda text: text[:-37],
    "not YAML": lambda text: b"stages: [\n" + text,
    "a conflict of git's": lambda text: b"<<<<<<< HEAD\n" + text + b"=======\n>>>>>>> other\n",
    "zeros, as after a power cut": lambda text: bytes(len(text)),
    "a list": lambda _: b"- stages\n",
}


@pytest.fixture
def repository(ran: Clone, tmp_path: Path) -> Clone:
    return ran.copy(tmp_path / "repository")


def assert_well(clone: Clone, ran: Clone) -> None:
    assert clone.contents() == ran.contents()


@pytest.mark.parametrize("damage", LOCKS)
def test_a_damaged_dvc_lock(damage: str, repository: Clone, ran: Clone) -> None:
    """Refused or made anew, never obeyed; without it everything comes back from DVC's cache."""
    lock = repository.folder / "dvc.lock"
    lock.write_bytes(LOCKS[damage](lock.read_bytes()))
    done = repository.call("dvc", "repro", TARGET)
    assert "Traceback" not in done.stdout
    if done.returncode:
        assert "dvc.lock" in done.stdout
        lock.unlink()
        repository.run("dvc", "repro", TARGET)
    assert_well(repository, ran)


def held(path: str, pid: int = 2**22 - 7) -> bytes:
    """What DVC writes while a process, here a dead one, writes a path."""
    return json.dumps({"write": {path: {"pid": pid, "cmd": "dvc repro"}}, "read": {}}).encode()


RWLOCKS: dict[str, Callable[[str], bytes]] = {
    "empty": lambda _: b"",
    "cut": lambda path: held(path)[:20],
    "not JSON": lambda _: b"{'write'",
    "not text": lambda _: b"\xff\x00",
    "of a dead process": held,
}


UNNAMED = pytest.mark.xfail(strict=True, reason="DVC's line does not name the file")


@pytest.mark.parametrize(
    "content", [pytest.param(c, marks=UNNAMED) if c == "not text" else c for c in RWLOCKS]
)
def test_a_damaged_or_stale_rwlock(content: str, repository: Clone, ran: Clone) -> None:
    place = repository.folder / "reports/metrics/cosine-class.json"
    place.unlink()
    rwlock = repository.folder / ".dvc/tmp/rwlock"
    rwlock.write_bytes(RWLOCKS[content](str(place)))
    done = repository.call("dvc", "repro", TARGET)
    assert "Traceback" not in done.stdout
    if done.returncode:
        assert "rwlock" in done.stdout, done.stdout
        rwlock.unlink()
        repository.run("dvc", "repro", TARGET)
    assert_well(repository, ran)


def test_a_rwlock_of_a_living_process_with_the_same_number(repository: Clone, ran: Clone) -> None:
    """In a container process ids come again: DVC says who is meant, and what to delete."""
    place = repository.folder / "reports/metrics/cosine-class.json"
    place.unlink()
    rwlock = repository.folder / ".dvc/tmp/rwlock"
    rwlock.write_bytes(held(str(place), os.getpid()))
    done = repository.call("dvc", "repro", TARGET)
    assert done.returncode != 0 and "Traceback" not in done.stdout
    assert "rwlock" in done.stdout and str(os.getpid()) in done.stdout
    rwlock.unlink()
    repository.run("dvc", "repro", TARGET)
    assert_well(repository, ran)
