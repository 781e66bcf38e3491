"""Settings files: what is no YAML, or no settings, is told in one line."""

from pathlib import Path

import pytest

from mnist_diffusion.files.yamlfile import read_yaml
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import load_settings


def complaint_of(path: Path) -> str:
    with pytest.raises(UserError) as refusal:
        load_settings(path)
    assert str(refusal.value).isprintable()
    return str(refusal.value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"", "holds no settings; restore it from git"),
        (b"# nothing\n", "holds no settings; restore it from git"),
        (b"- a\n- b\n", "holds no settings; restore it from git"),
        (b"words\n", "holds no settings; restore it from git"),
        (b"a:\n  b: 1\n  b: 2\n", "line 3: b stands here twice; keep one"),
        (b"a: {b: 1}\nc: 1\na: {b: 1}\n", "line 3: a stands here twice; keep one"),
        (
            b"a:\n\tb: 1\n",
            "line 2: found character '\\t' that cannot start any token; mend the YAML",
        ),
        (b"a: [1,\n", "line 2: expected the node content, but found '<stream end>'; mend the YAML"),
        (b"a: *b\n", "line 1: found undefined alias 'b'; mend the YAML"),
        (b"a: 1\n---\nb: 1\n", "line 2: but found another document; mend the YAML"),
    ],
)
def test_a_file_that_holds_no_settings(tmp_path: Path, text: bytes, line: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(text)
    assert complaint_of(path) == f"{path}: {line}"


@pytest.mark.parametrize(
    "text",
    [
        b"a: \x00\n",
        b"a: \xe9\n",
        b"a: 2020-99-99\n",
        b"a: " + b"9" * 5000,
        b"[" * 3000,
        b"a: !!python/object/apply:os.system [id]\n",
    ],
    ids=["control", "latin-1", "date", "huge", "deep", "object"],
)
def test_a_file_that_is_not_plain_yaml(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(text)
    assert complaint_of(path).endswith("; mend the YAML")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    line = complaint_of(path)
    assert line == f"{path}: not found; run from the repository's root"
    assert complaint_of(tmp_path) == f"{tmp_path}: Is a directory; restore it from git"


def test_yaml_is_read_as_dvc_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("rate: 1e-4\nword: off\nten: 010\n")
    assert read_yaml(path) == {"rate": 1e-4, "word": "off", "ten": 10}
