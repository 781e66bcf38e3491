"""`mnist-diffusion generate --prompt` on a small text run, and what the stages say of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tamperings import put
from test_generation import draw, pixels

from mnist_diffusion.dataset.captioned import load_levels, load_meaning
from mnist_diffusion.dataset.levels import Codes
from mnist_diffusion.dataset.prompts import understand
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.generation import pictures
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.text_files import load_clip, load_text_encoder
from mnist_diffusion.provenance.digests import arrays_digest
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.sampling.wishes import prompt_for
from mnist_diffusion.settings import load_settings
from mnist_diffusion.stages import train
from mnist_diffusion.training.asking import AskedByCaption

RUN, CELL = "latent-text", "grid"


def test_a_prompt_is_drawn_and_told(here: Path, tmp_path: Path) -> None:
    said = draw(tmp_path / "a.png", prompt="A thick, seven leaning left!", count=4).splitlines()
    assert said[0].startswith("digit 7, thick, leaning left")
    assert said[1].startswith(f"a.png: 4 images by {RUN} (")
    assert said[2].endswith("of 4 are so, as measured")
    facts = pictures.facts_of(tmp_path / "a.png")
    assert facts["parameters"]["prompt"] == "a thick , seven leaning left"
    assert facts["parameters"]["x0_bound"] == "none"
    draw(tmp_path / "b.png", prompt="a thick , seven leaning left", count=4)
    assert np.array_equal(pixels(tmp_path / "a.png", 4, 2), pixels(tmp_path / "b.png", 4, 2))


def test_a_prompt_is_drawn_at_the_guidance_that_obeys_most(
    published_copy: Path, tmp_path: Path
) -> None:
    report = read_json(paths.adherence(CELL))
    put(paths.adherence(CELL), json.dumps(report | {"guidance": 2.5}).encode())
    for asked, guidance in (({}, 2.5), ({"guidance": 3.0}, 3.0)):
        draw(tmp_path / "a.png", prompt="a seven", count=1, **asked)
        assert pictures.facts_of(tmp_path / "a.png")["parameters"]["guidance"] == guidance


def test_what_was_held_out_and_what_is_unknown_is_said(here: Path, tmp_path: Path) -> None:
    corner = load_meaning().corners.codes[7]
    words = {1: "thin", 3: "thick"}[corner[0]], {1: "left", 3: "right"}[corner[1]]
    prompt = f"a chunky {words[0]} seven leaning {words[1]}"
    said = draw(tmp_path / "a.png", prompt=prompt, count=2).splitlines()
    assert said[0].startswith('note: "chunky" is none of the')
    assert said[1].endswith("(never trained together)")
    other = draw(tmp_path / "b.png", prompt="a seven", count=2)
    assert "never trained" not in other


@pytest.mark.parametrize(
    ("asked", "cause"),
    [
        ({"prompt": "not a seven"}, 'prompt: "not" is not understood'),
        ({"prompt": ""}, "prompt: it is empty"),
        ({"prompt": "seven", "digit": 7}, "prompt: a digit is asked for as well"),
        ({"prompt": "seven", "guidance": 0.0}, "prompt: nothing is asked for with guidance 0"),
        ({"prompt": "seven", "run": "cosine-class"}, "prompt: cosine-class reads no text"),
    ],
)
def test_what_cannot_be_drawn_is_refused_and_nothing_written(
    here: Path, tmp_path: Path, asked: dict[str, Any], cause: str
) -> None:
    with pytest.raises(UserError) as error:
        draw(tmp_path / "a.png", **asked)
    assert str(error.value).startswith(cause)
    assert list(tmp_path.iterdir()) == []


def test_a_digit_of_a_text_run_is_asked_for_by_its_name(here: Path, tmp_path: Path) -> None:
    draw(tmp_path / "a.png", run=RUN, digit=3, count=1)
    draw(tmp_path / "b.png", run=RUN, prompt="a handwritten three", count=4)
    alone = pixels(tmp_path / "a.png", 1, 1)[0].astype(int)
    # image 3 of the set: the same noise and words, at another place of another batch
    again = pixels(tmp_path / "b.png", 4, 2)[3].astype(int)
    assert np.abs(alone - again).max() <= 1


def test_a_text_run_has_all_it_needs(here: Path) -> None:
    manifest = read_json(paths.model(RUN) / "manifest.json")
    assert set(manifest["made_from"]) == {"latents@4x7x7", "clip"}
    encoder = load_text_encoder(paths.model(RUN))
    digest = arrays_digest(checkpoint.weights(encoder))
    assert digest == arrays_digest(checkpoint.weights(load_clip().text))
    clip = read_json(paths.CLIP / "manifest.json")["outputs"]["clip_sha256"]
    assert manifest["inputs"]["clip_sha256"] == clip
    assert read_json(paths.samples(CELL) / "manifest.json")["inputs"]["text_sha256"] == digest
    prompts = (paths.samples(CELL) / "prompts.txt").read_text().splitlines()
    assert prompts == [prompt_for(index, "grid") for index in range(len(prompts))]
    labels = np.load(paths.samples(CELL) / "labels.npy")
    assert [understand(prompt).digit for prompt in prompts] == labels.tolist()
    assert not (paths.samples("latent-class") / "prompts.txt").exists()


def test_nothing_that_is_held_out_is_trained_on(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The examples and captions that a text run is given, from disk."""
    handed: list[Any] = []

    def spy(*given: Any) -> None:
        handed.extend(given)
        raise UserError("seen")

    monkeypatch.setattr(train, "Denoising", spy)
    with pytest.raises(UserError, match="seen"):
        train.run(load_settings(), RUN)
    examples, asking = handed[:2]
    assert isinstance(asking, AskedByCaption)
    levels: Codes = load_levels("train")
    held = load_meaning().corners.hold(levels)
    assert held.any()
    assert np.array_equal(asking.levels, levels[~held])
    means = np.load(paths.latents("4x7x7") / "train-means.npy")
    assert torch.equal(examples.means, torch.from_numpy(means[~held]))


def test_adherence_is_of_the_cells_images(here: Path) -> None:
    report = read_json(paths.adherence(CELL))
    assert report["n"] == report["all"]["n"] == load_settings().cell(CELL).count
    assert (report["run"], report["prompts"], report["guidance"]) == (RUN, "grid", 2.0)
    assert set(report["made_from"]) == {f"sample@{CELL}", "captions", "classifier"}
    assert report["real"]["thickness"]["1"] < report["real"]["thickness"]["3"]
    assert report["real"]["slant"]["1"] < 0 < report["real"]["slant"]["3"]
