"""What codec, latents, fidelity, captions and clip publish: real files of a small repository."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tamperings import put

from mnist_diffusion.dataset.attributes import Attributes
from mnist_diffusion.dataset.captioned import GRAMMAR, Meaning, load_levels, load_meaning
from mnist_diffusion.dataset.pixels import to_tensor, to_uint8
from mnist_diffusion.dataset.splits import load_split
from mnist_diffusion.evaluation.seams import jumps
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.codec_files import load_codec
from mnist_diffusion.networks.codecs import CODECS, encoded
from mnist_diffusion.networks.encoders import ENCODERS
from mnist_diffusion.networks.latent_scale import Scale
from mnist_diffusion.provenance.digests import array_digest, arrays_digest
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.sampling.denoiser import load_denoiser
from mnist_diffusion.sampling.draw import draw, redraw
from mnist_diffusion.sampling.known import load_known
from mnist_diffusion.settings import load_settings
from mnist_diffusion.stages import clip, codec, fidelity, latents
from mnist_diffusion.tracking.records import record_of
from mnist_diffusion.training.contrast import Contrast

CODEC = "4x7x7"
CPU = torch.device("cpu")


def test_latents_are_what_the_codec_says_of_the_digits(here: Path) -> None:
    network, _ = checkpoint.load(paths.codec(CODEC), CODECS)
    images, labels = load_split("train")
    means, deviations = encoded(network, to_tensor(images), CPU)  # type: ignore[arg-type]
    expected = {"means": means.numpy(), "deviations": deviations.numpy(), "labels": labels}
    for part, array in expected.items():
        assert np.array_equal(np.load(paths.latents(CODEC) / f"train-{part}.npy"), array)
    copied, scale = load_codec(paths.latents(CODEC))
    assert scale == Scale.of(means, deviations)
    torch.testing.assert_close(copied.encode(to_tensor(images[:2])).mean, means[:2])
    digest = arrays_digest(checkpoint.weights(network))
    for folder in (paths.codec(CODEC), paths.latents(CODEC)):
        manifest = read_json(folder / "manifest.json")
        assert digest in {**manifest.get("inputs", {}), **manifest["outputs"]}.values()


def test_the_fidelity_is_of_all_test_digits(here: Path) -> None:
    report = read_json(paths.fidelity(CODEC))
    assert report["n"] == len(load_split("test").labels)
    assert report["values"] == 4 * 7 * 7
    assert report["latent_mflop"] < report["pixel_mflop"]
    shown = np.load(paths.reconstructions(CODEC))
    assert shown.shape == (2, 20, 28, 28)
    assert report["digits_sha256"] == array_digest(shown)
    assert report["back"]["relative_fd"] > report["real"]["relative_fd"]
    assert report["looks"]["all"]["n"] == report["n"]
    baseline = read_json(paths.REFERENCE_REPORT)
    assert report["real"]["mass"] == pytest.approx(baseline["pixels"]["mass"])
    logged = record_of("fidelity", CODEC)
    assert logged.metrics["psnr"] == report["psnr"]
    assert logged.data["tag"]["codec"] == CODEC


def test_levels_are_those_of_what_is_measured(here: Path) -> None:
    meaning = load_meaning()
    for split in ("train", "test"):
        images, labels = load_split(split)
        attributes = Attributes.of(images)
        table = np.load(paths.CAPTIONS / f"attributes-{split}.npy")
        assert np.array_equal(table, attributes.table())
        assert np.array_equal(load_levels(split), meaning.bands.levels(attributes, labels))
    summary = read_json(paths.CAPTIONS / "summary.json")
    levels = load_levels("train")
    assert summary["train"]["held_out"] == int(meaning.corners.hold(levels).sum()) > 0
    assert sum(summary["train"]["thickness"]) == len(levels)


def test_nothing_that_is_held_out_reaches_what_learns_text(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The digits that the stage hands on, from disk."""
    handed: list[tuple[torch.Tensor, np.ndarray]] = []

    class Spy(Contrast):
        def __init__(self, images: torch.Tensor, levels: np.ndarray, *rest: Any):
            handed.append((images, levels))
            raise UserError("seen")

    monkeypatch.setattr(clip, "Contrast", Spy)
    with pytest.raises(UserError, match="seen"):
        clip.run(load_settings())
    images, levels = handed[0]
    meaning = load_meaning()
    assert len(images) == len(levels)
    assert not meaning.corners.hold(levels).any()
    every = load_split("train").images
    held = every[meaning.corners.hold(load_levels("train"))]
    assert len(held) + len(images) == len(every)
    there = {image.tobytes() for image in images.numpy()}
    assert not there & {image.tobytes() for image in held}


def test_clip_says_what_it_is(here: Path) -> None:
    report = read_json(paths.CLIP_REPORT)
    network, _ = checkpoint.load(paths.CLIP, ENCODERS)
    digest = arrays_digest(checkpoint.weights(network))
    assert report["clip_sha256"] == digest
    assert read_json(paths.CLIP / "manifest.json")["outputs"]["clip_sha256"] == digest
    assert report["n"] == 100
    assert Meaning.load(paths.CLIP / GRAMMAR) == load_meaning()
    assert record_of("clip").metrics["digit_by_word"] == report["digit_by_word"]


def test_other_words_are_refused(published_copy: Path) -> None:
    path = paths.CAPTIONS / GRAMMAR
    content = read_json(path)
    content["vocabulary"]["chunky"] = 99
    put(path, json.dumps(content).encode())
    with pytest.raises(UserError, match="other words"):
        load_meaning()
    put(path, b"{}")
    with pytest.raises(UserError, match="no grammar"):
        load_meaning()


@pytest.mark.parametrize(
    ("stage", "folder"), [(codec, paths.codec(CODEC)), (latents, paths.latents(CODEC))]
)
def test_made_again_it_is_the_same(published_copy: Path, stage: Any, folder: Path) -> None:
    before = read_json(folder / "manifest.json")
    stage.run(load_settings(), CODEC)
    assert read_json(folder / "manifest.json")["files"] == before["files"]


def test_judged_again_it_is_the_same_bytes(published_copy: Path) -> None:
    before = paths.fidelity(CODEC).read_bytes()
    fidelity.run(load_settings(), CODEC)
    assert paths.fidelity(CODEC).read_bytes() == before


def test_a_latent_run_is_trained_on_latents_and_has_all_it_needs(here: Path) -> None:
    trained = read_json(paths.model("latent-class") / "manifest.json")
    assert set(trained["made_from"]) == {f"latents@{CODEC}", "prepare"}
    sizes = read_json(paths.model("latent-class") / "config.json")["network"]["sizes"]
    assert (sizes["inputs"], sizes["patch"]) == (4, 1)
    own, scale = load_codec(paths.model("latent-class"))
    original, _ = checkpoint.load(paths.codec(CODEC), CODECS)
    digest = arrays_digest(checkpoint.weights(original))
    assert arrays_digest(checkpoint.weights(own)) == digest == trained["inputs"]["codec_sha256"]
    assert scale == load_codec(paths.latents(CODEC))[1]
    images = np.load("data/prepared/train-images.npy")
    assert trained["inputs"]["images_sha256"] == array_digest(images)
    drawn = read_json(paths.samples("latent-class") / "manifest.json")
    assert drawn["inputs"]["codec_sha256"] == digest
    noising = np.load(paths.model("latent-class") / "noising.npy")
    assert noising.shape[1:] == (28, 28)


def test_a_latent_runs_images_are_what_its_codec_makes_of_its_states(here: Path) -> None:
    settings, name = load_settings(), "latent-class"
    denoiser = load_denoiser(paths.model(name), CPU)
    assert denoiser.space.shape == (4, 7, 7)
    cell = settings.cell(name)
    sample = settings.shared(name)
    batch = next(iter(draw(denoiser, cell, sample)))
    first = np.load(paths.samples(name) / "images.npy")[: len(batch.images)]
    assert np.array_equal(to_uint8(batch.images), first)
    again = redraw(denoiser, cell, sample, [3])
    assert np.array_equal(to_uint8(again)[0], first[3])
    frames = np.load(paths.samples(name) / "trajectory.npy")
    assert np.array_equal(frames[-1], first[: settings.sample.trajectory_images])


def test_what_is_known_of_a_digit_is_published_as_it_is(here: Path) -> None:
    images = np.load(paths.samples("inpaint") / "images.npy")
    real = to_uint8(load_known("right").of(range(len(images))))
    assert np.array_equal(images[..., :14], real[..., :14])
    assert not np.array_equal(images, real)
    test = {image[:, :14].tobytes() for image in load_split("test").images}
    assert all(image[:, :14].tobytes() in test for image in images)
    made_from = read_json(paths.samples("inpaint") / "manifest.json")["made_from"]
    assert set(made_from) == {"prepare", "train@cosine-class"}
    report = read_json(paths.seams("inpaint"))
    assert report["real"] == pytest.approx(jumps(real, "right").tolist(), rel=1e-5)
    assert report["drawn"] == pytest.approx(jumps(images, "right").tolist(), rel=1e-5)
