"""Croissant, model cards, ONNX and CITATION.cff, each by the tool of those who read it."""

import re
import subprocess
import sys
import tomllib
from contextlib import chdir
from dataclasses import replace
from pathlib import Path

import mlcroissant
import numpy as np
import onnxruntime
import pytest
import torch
from huggingface_hub import ModelCard
from smoke_scale import REPOSITORY

from mnist_diffusion.dataset.grammar import encode
from mnist_diffusion.dataset.pixels import to_uint8
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.files.yamlfile import read_yaml
from mnist_diffusion.formats.onnx_files import KINDS, NETWORKS, onnx_functions
from mnist_diffusion.networks.codec_files import load_codec
from mnist_diffusion.sampling.denoiser import load_denoiser
from mnist_diffusion.sampling.draw import draw
from mnist_diffusion.settings import load_settings

WITHIN = 1e-5


@pytest.mark.parametrize("cell", ["cosine-class", "linear-uncond", "grid"])
def test_mlcroissant_loads_every_digit_of_a_sample_set(here, out, cell, caplog):
    digits = mlcroissant.Dataset(out / f"samples/{cell}/croissant.json")
    assert not digits.metadata.issues.errors
    assert not digits.metadata.issues.warnings
    assert "not standard" not in caplog.text
    records = list(digits.records("digits"))
    images, labels = (np.load(paths.samples(cell) / f"{key}.npy") for key in ("images", "labels"))
    assert [one["digits/index"] for one in records] == list(range(len(images)))
    for one, image, label in zip(records, images, labels, strict=True):
        assert np.array_equal(np.asarray(one["digits/image"]), image)
        assert one["digits/label"] == label
    digests = [one["digits/sha256"].decode() for one in records]
    assert digests == (paths.samples(cell) / "digests.txt").read_text().split()
    if cell == "grid":
        told = [one["digits/prompt"].decode() for one in records]
        assert told == (paths.samples(cell) / "prompts.txt").read_text().splitlines()
    else:
        assert "digits/prompt" not in records[0]


def test_a_changed_byte_of_the_parquet_is_refused_by_mlcroissant(out, tmp_path):
    content = bytearray((out / "samples/grid/images.parquet").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "images.parquet").write_bytes(content)
    metadata = (out / "samples/grid/croissant.json").read_text()
    (tmp_path / "croissant.json").write_text(metadata)
    with pytest.raises(mlcroissant.GenerationError):
        list(mlcroissant.Dataset(tmp_path / "croissant.json").records("digits"))


def test_a_model_card_has_the_scores_of_the_cells_that_drew_from_it(here, out):
    settings = load_settings()
    for run in settings.runs:
        card = ModelCard.load(out / f"models/{run}/README.md")
        assert card.data.license == "mit"
        found = {
            (one.dataset_config, one.metric_type): one.metric_value
            for one in card.data.eval_results or []
        }
        cells = {cell for cell, one in settings.cells.items() if one.run == run}
        assert {cell for cell, _ in found} == cells
        for cell in cells:
            judged = read_json(paths.metrics(cell))
            assert found[cell, "fd_infinity"] == judged["fd_infinity"]
            assert found.get((cell, "accuracy")) == judged["accuracy"]
        for digest in read_json(here / f"models/{run}/manifest.json")["made_from"].values():
            assert digest in card.text


def test_every_network_that_a_config_may_name_has_its_functions():
    assert KINDS.keys() == NETWORKS.keys()


def test_every_onnx_file_says_what_torch_says_for_any_number_of_images(here, out):
    seen = 0
    for config in sorted(Path("models").rglob("manifest.json")):
        for name, function in onnx_functions(config.parent):
            content = (out / config.parent / name).read_bytes()
            assert str(REPOSITORY).encode() not in content
            session = onnxruntime.InferenceSession(content)
            for n in (1, 3, 20):
                inputs = {key: _drawn(key, one, n) for key, one in function.inputs.items()}
                with torch.inference_mode():
                    told = function.module(*inputs.values())
                told = told if isinstance(told, tuple) else (told,)
                again = session.run(None, {key: one.numpy() for key, one in inputs.items()})
                for one, other in zip(told, again, strict=True):
                    assert one.abs().max() > 0
                    assert np.abs(one.numpy() - other).max() <= WITHIN, (config, name)
            seen += 1
    assert seen == len([*out.glob("models/**/*.onnx")]) >= 15


def test_a_decoder_takes_latents_as_its_denoiser_draws_them(here, out):
    folder = Path("models/latent-class")
    codec, scale = load_codec(folder)
    latents = torch.randn(3, *codec.shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        told = codec.decode(scale.unscaled(latents)).numpy()
    session = onnxruntime.InferenceSession(out / folder / "codec-decoder.onnx")
    (again,) = session.run(None, {"z": latents.numpy()})
    assert np.abs(again - told).max() <= WITHIN


def _drawn(key, example, n):
    generator = torch.Generator().manual_seed(n)
    if key == "tokens":
        return encode(["a thick seven leaning left", "zero", "a narrow 3"] * 7)[:n]
    if example.dtype == torch.int64:
        low, high = {"t": (1, 100), "asked": (-1, 10)}[key]
        return torch.randint(low, high, (n,), generator=generator)
    return torch.randn(n, *example.shape[1:], generator=generator)


class _Runtime(torch.nn.Module):
    """A denoiser that onnxruntime evaluates."""

    def __init__(self, file):
        super().__init__()
        self.session = onnxruntime.InferenceSession(file)

    def forward(self, x, t, asked):
        inputs = {"x": x.contiguous(), "t": t, "asked": asked}
        given = {key: one.numpy() for key, one in inputs.items()}
        return torch.from_numpy(self.session.run(None, given)[0])


@pytest.mark.parametrize("cell", ["cosine-class-g2", "latent-class", "grid"])
def test_a_sample_set_drawn_by_onnxruntime_is_the_published_one(here, out, cell):
    settings = load_settings()
    chosen = settings.cell(cell)
    denoiser = load_denoiser(paths.model(chosen.run), torch.device("cpu"), chosen)
    runtime = _Runtime(out / f"models/{chosen.run}/denoiser.onnx")
    drawn = draw(replace(denoiser, network=runtime), chosen, settings.shared(cell))
    images = to_uint8(torch.cat([batch.images for batch in drawn]))
    published = np.load(paths.samples(cell) / "images.npy")
    apart = np.abs(images.astype(int) - published.astype(int))
    assert apart.max() <= 1
    assert (apart == 0).mean() >= 0.999


def test_the_citation_is_one_by_its_schema_and_says_what_the_package_says():
    check = ["-m", "check_jsonschema", "--builtin-schema", "vendor.citation-file-format"]
    told = subprocess.run(
        [sys.executable, *check, REPOSITORY / "CITATION.cff"], capture_output=True, text=True
    )
    assert told.returncode == 0, told.stdout
    cited = read_yaml(REPOSITORY / "CITATION.cff")
    package = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert (cited["version"], cited["license"]) == (package["version"], package["license"])
    assert cited["authors"][0]["name"] in (REPOSITORY / "LICENSE").read_text()


def test_the_examples_of_the_documentation_run(out, capsys):
    text = (REPOSITORY / "docs/formats.md").read_text()
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 4
    for example in examples:
        code = example.replace("headline", "cosine-class-g2").replace("long", "cosine-class")
        with chdir(out):
            exec(code, {})
        assert capsys.readouterr().out
