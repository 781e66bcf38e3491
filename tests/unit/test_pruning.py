import os
import subprocess
import sys
from pathlib import Path

import pytest
from smoke_scale import smoke_text

from mnist_diffusion.cli.prune import prune
from mnist_diffusion.runtime.errors import UserError

DECLARED = [
    "data/prepared/train.npz",
    "data/raw/train-images-idx3-ubyte",
    "data/samples/cosine-class-g2/images.npy",
    "data/samples/.gitignore",
    "data/samples/README",
    "models/classifier/model.safetensors",
    "models/cosine-class/model.safetensors",
    "models/clip/weights.safetensors",
    "models/codecs/4x7x7/weights.safetensors",
    "data/latents/4x7x7/train-means.npy",
    "reports/fidelity/4x7x7.json",
    "models/.gitignore",
    "reports/metrics/cosine-class-g2.json",
    "reports/metrics/.cosine-class-g2.json.4711",
    "reports/metrics/README",
    "reports/timings/train@cosine-class.json",
    "reports/timings/report.json",
    "reports/index.html",
    ".work/resume/train@cosine-class/state",
    ".work/locks/sample@cosine-class-g2",
    ".work/resume/yardstick-drawn@cosine-class-g2/state",
    ".work/resume/yardstick-real@50000/state",
    ".work/clone",
    "data/snapshots/cosine-class.npy",
    "dvc.lock",
]
STRAYS = [
    "models/gone/model.safetensors",
    "models/codecs/gone/weights.safetensors",
    "data/latents/gone/train-means.npy",
    "models/cosine-class-g2/a-cell-is-no-run",
    "data/samples/gone/deep/images.npy",
    "data/samples/classifier/images.npy",
    "data/snapshots/gone.npy",
    "reports/metrics/gone.json",
    "reports/timings/train@gone.json",
    "reports/timings/train@cosine-class-g2.json",
    ".work/resume/train@gone/state",
    ".work/resume/yardstick@gone/state",
    ".work/locks/train@gone",
]
SHOWN = [
    "models/codecs/gone",
    "data/latents/gone",
    "models/cosine-class-g2",
    "models/gone",
    "data/samples/classifier",
    "data/samples/gone",
    "reports/metrics/gone.json",
    "data/snapshots/gone.npy",
    "reports/timings/train@cosine-class-g2.json",
    "reports/timings/train@gone.json",
    ".work/resume/train@gone",
    ".work/resume/yardstick@gone",
    ".work/locks/train@gone",
]


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    """What a pipeline leaves, before and after a run and a cell were taken out of params.yaml."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "params.yaml").write_text(smoke_text())
    for name in (*DECLARED, *STRAYS):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 1500)
    monkeypatch.chdir(folder)
    return folder


def files():
    return {str(path) for path in Path().rglob("*") if not path.is_dir()}


def test_what_nothing_declares_is_shown_with_its_size_and_stays(capsys):
    before = files()
    prune()
    *lines, last = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == SHOWN
    assert {" ".join(line.split()[1:]) for line in lines} == {"1.5 kB"}
    assert last == "13 in all, 19.5 kB; run again with --yes to remove them"
    assert files() == before


def test_with_yes_it_goes_and_all_else_stays(capsys):
    before = files()
    prune(yes=True)
    told = capsys.readouterr().out.splitlines()[-1]
    assert told == "removed 13, 19.5 kB; `make repro` brings the report into line"
    assert before - files() == set(STRAYS)
    assert files() <= before
    assert not any(Path(shown).exists() for shown in SHOWN)
    prune(yes=True)
    assert capsys.readouterr().out == "nothing to prune: all that is there is declared\n"


@pytest.mark.parametrize(
    "text",
    ["", "runs: [", "scale: laptop\n", "runs: {a;b: {}}\n"],
    ids=["empty", "torn", "half", "bad"],
)
def test_broken_settings_prune_nothing(text):
    Path("params.yaml").write_text(text)
    before = files()
    with pytest.raises(UserError):
        prune(yes=True)
    Path("params.yaml").unlink()
    with pytest.raises(UserError):
        prune(yes=True)
    assert files() == before - {"params.yaml"}


def test_links_are_removed_and_what_they_point_to_is_not(tmp_path):
    precious = tmp_path / "precious"
    (precious / "inside").mkdir(parents=True)
    (precious / "file").write_text("kept")
    Path("models/linked").symlink_to(precious)
    Path("data/samples/gone/link").symlink_to(precious, target_is_directory=True)
    Path("reports/metrics/link.json").symlink_to(precious / "file")
    Path(".work/resume/train@dead").symlink_to(tmp_path / "nowhere")
    prune(yes=True)
    assert sorted(p.name for p in precious.iterdir()) == ["file", "inside"]
    assert not os.path.lexists("models/linked")
    assert not os.path.lexists("reports/metrics/link.json")
    assert not os.path.lexists(".work/resume/train@dead")
    assert not Path("data/samples/gone").exists()


def test_what_is_behind_a_link_out_of_the_repository_is_left_alone(tmp_path, capsys):
    Path("data").rename(tmp_path / "big-disk")
    Path("data").symlink_to(tmp_path / "big-disk")
    prune(yes=True)
    left = "data/samples: is behind a link out of the repository; left alone"
    assert left in capsys.readouterr().out.splitlines()
    assert (tmp_path / "big-disk/samples/gone/deep/images.npy").exists()
    assert not Path("models/gone").exists()


HOLD = """
from mnist_diffusion.runtime.locks import exclusive_lock
with exclusive_lock("train@gone"):
    print("held", flush=True)
    input()
"""


def test_what_somebody_writes_is_left_and_told_and_the_rest_goes():
    command = [sys.executable, "-c", HOLD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        says = rf"^train@gone: is being written by another process \(pid {holder.pid}\); .*3 more"
        with pytest.raises(UserError, match=says):
            prune(yes=True)
        assert Path("models/gone").exists() and Path(".work/locks/train@gone").exists()
        assert not Path("data/samples/gone").exists()
        holder.communicate(b"\n")
    prune(yes=True)
    assert not Path("models/gone").exists()
    assert {path.name for path in Path(".work/locks").iterdir()} == {"sample@cosine-class-g2"}


def test_a_name_in_other_letters_may_be_the_same_folder():
    Path("models/cosine-class").rename("models/Cosine-Class")
    prune(yes=True)
    assert Path("models/Cosine-Class").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may remove anything")
def test_what_cannot_be_removed_is_told():
    Path("models/gone").chmod(0o500)
    with pytest.raises(UserError, match=r"^models/gone: Permission denied; remove it"):
        prune(yes=True)
    Path("models/gone").chmod(0o700)
