"""Files: what is written comes back, and what nobody wrote is refused in one line."""

import math
from pathlib import Path

import pytest

from mnist_diffusion.files.atomic import write_atomically
from mnist_diffusion.files.jsonfile import read_json, to_text, write_json
from mnist_diffusion.runtime.errors import UserError

BAD = {
    "empty": b"",
    "cut": b'{"a": [1, 2',
    "two values": b"{} {}",
    "not text": b"\xff\xfe\x00",
    "too deep": b"[" * 100_000,
    "too long a number": b"1" * 100_000,
    "NaN": b'{"a": NaN}',
    "infinity": b'{"a": -Infinity}',
    "a number beyond all": b'{"a": 1e400}',
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_not_json_is_refused_in_one_line(what, tmp_path):
    path = tmp_path / "content.json"
    path.write_bytes(BAD[what])
    with pytest.raises(UserError) as refused:
        read_json(path)
    assert str(refused.value).startswith(f"{path}: not JSON (")
    assert "\n" not in str(refused.value) and "; " in str(refused.value)


def test_what_is_no_file_is_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("{}")
    (tmp_path / "round").symlink_to("round")
    for name, cause in {
        "folder": "cannot be read (Is a directory); ",
        "file/below": "cannot be read (Not a directory); ",
        "round": "cannot be read (Too many levels of symbolic links); ",
        "nowhere": "not found; ",
    }.items():
        with pytest.raises(UserError) as refused:
            read_json(tmp_path / name)
        assert str(refused.value).startswith(f"{tmp_path / name}: {cause}")


def test_what_is_written_comes_back_bit_for_bit(tmp_path):
    content = {"b": [0.1, -0.0, 5e-324, 1.7976931348623157e308, 2**70], "a": {"é": None, "": True}}
    write_json(tmp_path / "new/content.json", content)
    assert to_text(read_json(tmp_path / "new/content.json")) == to_text(content)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["content.json"]


def test_a_write_that_fails_leaves_what_was_there_and_no_scraps(tmp_path):
    path = tmp_path / "content.json"
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        write_json(path, {})
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "nan.json", math.nan)
    assert [path.name for path in tmp_path.iterdir()] == ["content.json"]


def test_a_file_appears_whole_and_an_error_leaves_the_one_before(tmp_path, monkeypatch):
    path = tmp_path / "new/words.txt"
    write_atomically(path, "é")
    assert path.read_bytes() == "é".encode()

    def renamed(part, target):
        assert target == path and part.read_bytes() == b"second" and path.read_text() == "é"
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", renamed)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"second")
    assert [file.name for file in path.parent.iterdir()] == ["words.txt"]
    assert path.read_text() == "é"
