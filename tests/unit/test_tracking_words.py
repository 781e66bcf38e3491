import subprocess

import pytest

from mnist_diffusion.tracking import store
from mnist_diffusion.tracking.record import legal_name, text


def test_the_root_is_gits_where_dvc_says_nothing(tmp_path, monkeypatch):
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setenv("GIT_TRTR_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    assert store.root() == tmp_path / "sub"
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    assert store.root() == tmp_path


@pytest.mark.parametrize(
    ("name", "legal"),
    [
        ("loss", "loss"),
        ("accuracy@3", "accuracy_3"),
        ("a/b.c-d e", "a/b.c-d e"),
        ("/a//b/../c/", "a/b/c"),
        ("..", "_"),
        ("x" * 300, "x" * 250),
    ],
)
def test_names_become_legal(name, legal):
    assert legal_name(name) == legal


def test_values_are_written_as_in_yaml():
    assert [text(v) for v in (None, True, False, 1, 0, 1.0, "a")] == [
        "null", "true", "false", "1", "0", "1.0", "a",
    ]  # fmt: skip
