"""State of unfinished work: it comes back exactly, or in one line it is said why it does not."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest
import torch

from mnist_diffusion.files import paths
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.runtime.resumption import Resumption, State

pytestmark = pytest.mark.usefixtures("in_tmp_path")

ADDRESS = "train@cosine-class"
KEY, OTHER = "a" * 64, "b" * 64
FACTS = {"step": 7, "rows": [{"step": 7, "loss": 0.1 + 0.2, "least": 5e-324}], "window": []}


def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(8, 3, 3, 3, generator=generator)
    return {
        "weights": weights.to(memory_format=torch.channels_last),
        "losses": torch.randn(5, 2, generator=generator, dtype=torch.float64),
        "updates": torch.tensor(2**62 + 1),
        "step": torch.tensor(3.0),
        "nothing": torch.empty(21, 0, 28, 28),
        "odd": torch.tensor([float("nan"), float("inf"), -0.0]),
    }


def saved(key: str = KEY) -> Path:
    """A new file with a state."""
    before = set((paths.RESUME / ADDRESS).glob("*"))
    Resumption(ADDRESS, key).save(tensors(), FACTS)
    (path,) = set((paths.RESUME / ADDRESS).iterdir()) - before
    return path


def is_whole(state: State | None) -> bool:
    if state is None:
        return False
    read, facts = state
    same_bits = all(
        read[name].dtype == t.dtype
        and read[name].shape == t.shape
        and read[name].contiguous().numpy().tobytes() == t.contiguous().numpy().tobytes()
        for name, t in tensors().items()
    )
    return same_bits and read.keys() == tensors().keys() and facts == FACTS


def test_a_state_comes_back_to_the_bit() -> None:
    saved()
    assert is_whole(Resumption(ADDRESS, KEY).load())


def test_without_a_state_there_is_nothing() -> None:
    assert Resumption(ADDRESS, KEY).load() is None


def test_the_newest_state_replaces_the_one_before() -> None:
    resumption = Resumption(ADDRESS, KEY)
    for step in range(3):
        resumption.save({"t": torch.tensor(step)}, {"step": step})
    assert resumption.load() == ({"t": torch.tensor(2)}, {"step": 2})
    assert len(list((paths.RESUME / ADDRESS).iterdir())) == 1


def test_parts_are_kept_beside_each_other() -> None:
    resumption = Resumption(ADDRESS, KEY)
    for first in (200, 0, 1_000_000):
        resumption.save({"t": torch.tensor(first)}, {"first": first}, part=first)
    parts = resumption.parts()
    assert sorted(parts) == [0, 200, 1_000_000]
    assert all(facts == {"first": part} for part, (_, facts) in parts.items())


def test_of_another_key_nothing_is_used_and_all_is_swept() -> None:
    path = saved(OTHER)
    assert Resumption(ADDRESS, KEY).load() is None
    assert not path.exists()
    # not even under the right name
    other, mine = saved(OTHER), saved(KEY)
    other.replace(mine)
    assert Resumption(ADDRESS, KEY).load() is None


def test_of_another_address_nothing_is_touched() -> None:
    path = saved()
    assert Resumption("train@other", KEY).load() is None
    assert path.exists()


def test_scraps_of_killed_writers_are_swept() -> None:
    path = saved()
    scrap = path.with_name(f".{path.name}")
    scrap.write_bytes(path.read_bytes()[:100])
    assert is_whole(Resumption(ADDRESS, KEY).load())
    assert list(path.parent.iterdir()) == [path]


def test_cleared_nothing_is_left() -> None:
    saved()
    Resumption(ADDRESS, KEY).clear()
    assert not (paths.RESUME / ADDRESS).exists()
    Resumption(ADDRESS, KEY).clear()


def assert_announced(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: {path}: ") and line.endswith("; starting anew"), line
    assert not path.exists()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999, 1.001])
def test_a_file_that_is_shorter_or_longer_is_told_and_left(share: float, capsys: Any) -> None:
    path = saved()
    os.truncate(path, int(path.stat().st_size * share))
    assert Resumption(ADDRESS, KEY).load() is None
    assert_announced(capsys, path)


def test_any_flipped_byte_is_told_and_left(capsys: Any) -> None:
    """Every byte of the header, every seventh of the tensors."""
    path = saved()
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    for place in [*range(header), *range(header, len(whole), 7)]:
        broken = bytearray(whole)
        broken[place] ^= 1 << place % 8
        path.write_bytes(broken)
        assert Resumption(ADDRESS, KEY).load() is None, f"byte {place}"
        assert_announced(capsys, path)


def test_what_is_no_file_is_told(capsys: Any) -> None:
    path = saved()
    path.unlink()
    path.mkdir()
    assert Resumption(ADDRESS, KEY).load() is None
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_state_that_cannot_be_written_is_refused_and_the_old_one_stays() -> None:
    path = saved()
    path.with_name(f".{path.name}.{os.getpid()}").mkdir()
    with pytest.raises(UserError, match="not written"):
        Resumption(ADDRESS, KEY).save({}, {})
    assert is_whole(Resumption(ADDRESS, KEY).load())


def test_it_is_on_the_disk_before_it_has_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut cannot be tried here: what was synced, and when, is looked at instead."""
    done: list[str] = []
    sync, rename = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        done.append(f"{kind} of {os.fstat(descriptor).st_size if kind == 'file' else 'names'}")
        sync(descriptor)

    def replace(*names: Any) -> None:
        done.append("rename")
        rename(*names)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    path = saved()
    assert done == [f"file of {path.stat().st_size}", "rename", "folder of names"]


def test_the_seconds_of_all_attempts_are_added_up() -> None:
    first = Resumption(ADDRESS, KEY)
    first.earlier_seconds = 40.0
    first.save({}, {})
    second = Resumption(ADDRESS, KEY)
    second.load()
    assert 40.0 <= second.earlier_seconds < 60.0
    first.load()
    assert first.earlier_seconds == 40.0  # what it has kept itself is no earlier work
