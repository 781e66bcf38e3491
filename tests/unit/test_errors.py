"""A disk that is full is told in one line, whoever found it so."""

from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from mnist_diffusion.runtime.errors import describe_os_error

ROOM = "; make room, or mend its permissions, and run this again"


def test_a_disk_without_room_is_told_in_one_line():
    with Path("/dev/full").open("wb", buffering=0) as file, pytest.raises(OSError) as full:  # noqa: PT011
        file.write(b"more than fits")
    assert describe_os_error(full.value) == f"a file: No space left on device{ROOM}"


def test_a_file_that_may_not_be_written_is_named(tmp_path):
    with pytest.raises(IsADirectoryError) as refused:
        tmp_path.write_text("no file")
    assert describe_os_error(refused.value) == f"{tmp_path}: Is a directory{ROOM}"


def test_what_writes_weights_fails_in_its_own_way(tmp_path):
    with pytest.raises(SafetensorError) as refused:
        save_file({"a": torch.zeros(9)}, tmp_path / "nowhere" / "weights.safetensors")
    line = describe_os_error(refused.value)
    assert line.endswith(ROOM) and "No such file or directory" in line and "\n" not in line
