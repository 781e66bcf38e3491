"""`mnist-diffusion generate` on a small trained run, against what the stages drew with it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tamperings import put

from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.generation import pictures
from mnist_diffusion.generation.command import generate
from mnist_diffusion.provenance.digests import array_digest
from mnist_diffusion.runtime.errors import UserError

RUN, CELL, UNLABELLED = "cosine-class", "cosine-class-g2", "linear-uncond"
"""The cell is the headline of the repository that `published` makes, with 20 images."""


def draw(out: Path, run=None, animation=None, **asked):
    asked = dict.fromkeys(("digit", "guidance", "sampler", "steps", "seed")) | {"count": 4} | asked
    return generate(out, animation, run, **asked)


def pixels(path: Path, count: int, columns: int, times: int = 4) -> np.ndarray:
    """Read the digits back out of a picture, (count, 28, 28)."""
    with Image.open(path) as picture:
        picture.seek(getattr(picture, "n_frames", 1) - 1)
        sheet = np.asarray(picture.convert("L"))[::times, ::times]
    step = 28 + pictures.GAP
    corners = [divmod(k, columns) for k in range(count)]
    at = [(pictures.GAP + row * step, pictures.GAP + column * step) for row, column in corners]
    return np.stack([sheet[y : y + 28, x : x + 28] for y, x in at])


def test_the_headline_cell_is_drawn_again(here, tmp_path):
    told = draw(tmp_path / "ten.png", count=20)
    assert told.startswith(f"ten.png: 20 images by {RUN} (")
    stored = np.load(f"data/samples/{CELL}/images.npy").astype(int)
    # At another place of a batch the last bits may differ, so a pixel may round the other way.
    assert np.abs(pixels(tmp_path / "ten.png", 20, 10).astype(int) - stored).max() <= 1


def test_a_student_draws_as_its_cell_does(here, tmp_path):
    told = draw(tmp_path / "few.png", run="few-steps", count=20)
    assert "(consistency, 2 steps, guidance 1.5" in told
    stored = np.load("data/samples/few-2/images.npy").astype(int)
    assert np.abs(pixels(tmp_path / "few.png", 20, 10).astype(int) - stored).max() <= 1
    draw(tmp_path / "one.png", run="few-steps", count=20, steps=1)
    assert not np.array_equal(pixels(tmp_path / "one.png", 20, 10), stored)
    for asked, line in (
        ({"steps": 5}, "steps: few-steps knows 2 points, spaced trailing"),
        ({"guidance": 3.0}, "guidance: few-steps knows 1 to 2; set one of them"),
    ):
        with pytest.raises(UserError, match=line):
            draw(tmp_path / "not.png", run="few-steps", **asked)


def test_a_digit_is_the_same_whatever_the_count(here, tmp_path):
    for count, columns in ((2, 2), (23, 5)):
        draw(tmp_path / f"{count}.png", digit=3, count=count)
        found = pixels(tmp_path / f"{count}.png", 2, columns).astype(int)
        stored = np.load(f"data/samples/{CELL}/images.npy")[[3, 13]].astype(int)
        assert np.abs(found - stored).max() <= 1


def test_a_film_ends_with_the_still_and_changes_nothing_of_it(here, tmp_path):
    draw(tmp_path / "alone.png", digit=3, count=5, steps=4)
    for film in ("film.gif", "film.apng"):
        draw(tmp_path / "still.png", animation=tmp_path / film, digit=3, count=5, steps=4)
        assert (tmp_path / "still.png").read_bytes() == (tmp_path / "alone.png").read_bytes()
        with Image.open(tmp_path / film) as moving:
            assert moving.n_frames == 5  # the noise, and after each step
        last = pixels(tmp_path / film, 5, 3, times=2)
        assert np.array_equal(last, pixels(tmp_path / "still.png", 5, 3))
        assert pictures.facts_of(tmp_path / film) == pictures.facts_of(tmp_path / "still.png")


def test_a_picture_says_what_made_it(here, tmp_path):
    draw(tmp_path / "a.png", run=RUN, digit=7, guidance=3.0, sampler="heun", steps=2, seed=5)
    facts = pictures.facts_of(tmp_path / "a.png")
    manifest = read_json(Path(f"models/{RUN}/manifest.json"))
    assert facts["weights_sha256"] == manifest["outputs"]["weights_sha256"]
    assert facts["betas_sha256"] == manifest["outputs"]["betas_sha256"]
    assert facts["images_sha256"] == array_digest(pixels(tmp_path / "a.png", 4, 2))
    asked = {"digit": 7, "guidance": 3.0, "sampler": "heun", "steps": 2, "seed": 5, "run": RUN}
    assert asked.items() <= facts["parameters"].items()


def test_the_command_writes_where_it_was_called_and_the_same_bytes(here, tmp_path, monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # as the command does; it is told
    draw(tmp_path / "here.png", run=UNLABELLED, count=3)
    below = here / "reports"
    command = [sys.executable, "-m", "mnist_diffusion", "generate", "--run", UNLABELLED]
    done = subprocess.run(
        [*command, "--count", "3", "there.png"], cwd=below, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    written = (below / "there.png").read_bytes()
    (below / "there.png").unlink()
    assert written == (tmp_path / "here.png").read_bytes()
    assert "3/" in done.stderr or "img" in done.stderr  # the bar


def test_only_a_picture_of_ours_is_written_over(here, tmp_path):
    ours, theirs = tmp_path / "ours.png", tmp_path / "theirs.png"
    draw(ours, count=1)
    before = ours.read_bytes()
    draw(ours, count=1, seed=9)
    assert ours.read_bytes() != before
    Image.new("L", (4, 4)).save(theirs)
    before = theirs.read_bytes()
    with pytest.raises(UserError, match=r"theirs\.png: is there, and not made by generate"):
        draw(theirs)
    assert theirs.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ours.png", "theirs.png"]


@pytest.mark.parametrize(
    ("out", "asked", "words"),
    [
        ("a.jpg", {}, r"a\.jpg: not \.png"),
        ("no/a.png", {}, "no: there is no such folder"),
        ("a.png", {"animation": "a.mp4"}, r"a\.mp4: not \.gif or \.apng"),
        ("a.png", {"run": "cosine-clas"}, "^run: there is no 'cosine-clas'; did you mean"),
        ("a.png", {"run": "../x"}, "^run: there is no '../x'"),
        ("a.png", {"digit": 10}, "^digit: got 10"),
        ("/proc/a.png", {"count": 1}, r"^/proc/a\.png: cannot be written"),
    ],
)
def test_bad_input_is_refused_and_nothing_written(here, tmp_path, out, asked, words):
    moving = {key: tmp_path / value for key, value in asked.items() if key == "animation"}
    with pytest.raises(UserError, match=words) as refused:
        draw(tmp_path / out, **(asked | moving))
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("file", ["config.json", "weights.safetensors", "betas.npy"])
def test_a_run_that_is_not_trained_names_the_command(published_copy, tmp_path, file):
    (published_copy / f"models/{RUN}/{file}").unlink()
    with pytest.raises(UserError, match=rf"models/{RUN}/{file}: .*`dvc repro train@{RUN}`$"):
        draw(tmp_path / "a.png")


def test_broken_betas_are_refused(published_copy, tmp_path):
    put(published_copy / f"models/{RUN}/betas.npy", b"no array")
    with pytest.raises(UserError, match=r"betas\.npy: unusable"):
        draw(tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()
