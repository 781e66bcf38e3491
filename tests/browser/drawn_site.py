"""A small tree of artifacts whose networks are real, if untrained, and drew its sample sets."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import fake_results
import numpy as np
import torch
from torch import nn

from mnist_diffusion.dataset.grammar import VOCABULARY
from mnist_diffusion.dataset.pixels import to_uint8
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json, write_json
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.codec_files import save_codec
from mnist_diffusion.networks.codecs import Codec
from mnist_diffusion.networks.denoisers import DENOISERS
from mnist_diffusion.networks.encoders import TextEncoder
from mnist_diffusion.networks.judges import Classifier
from mnist_diffusion.networks.latent_scale import Scale
from mnist_diffusion.networks.students import STUDENTS
from mnist_diffusion.networks.text_files import save_text_encoder
from mnist_diffusion.pipeline import MANIFEST
from mnist_diffusion.reporting.playground.page import IMAGES
from mnist_diffusion.runtime.seeds import seeded
from mnist_diffusion.sampling.denoiser import load_denoiser
from mnist_diffusion.sampling.draw import redraw
from mnist_diffusion.sampling.wishes import prompt_for
from mnist_diffusion.settings import Settings, parse_settings

RUNS: dict[str, dict[str, Any]] = {
    "cosine": {},
    "linear": {"schedule": "linear", "conditioning": "uncond", "prediction": "epsilon"},
    "zero": {"zero_terminal_snr": True, "prediction": "x0", "weighting": "v"},
    "latent": {"space": "latents/4x7x7"},
    "text": {"space": "latents/8x4x4", "conditioning": "text", "asked": "models/clip"},
    "simple": {
        **{"network": "simple", "recipe": "source", "prediction": "epsilon"},
        **{"conditioning": "uncond", "timestep_sampling": "uniform"},
    },
}
INTERVAL = {"guidance": 2.0, "guidance_interval": [0.1, 5.0]}
CELLS: dict[str, dict[str, Any]] = {
    "cosine": {"run": "cosine"},
    "headline": {"run": "cosine", "seed": 1, **INTERVAL},
    "ddpm": {"run": "cosine", "sampler": "ddpm", "eta": 1.0, "guidance": 1.5},
    "ddpm-large": {"run": "zero", "sampler": "ddpm-large", "eta": 1.0},
    "ddim": {"run": "cosine", "sampler": "ddim", "eta": 0.5, "steps": 7, "guidance": 0.0},
    "dpm3": {"run": "zero", "sampler": "dpm-solver-3", "steps": 8, "spacing": "linspace"},
    "heun": {"run": "linear", "sampler": "heun", "guidance": 0.0, "spacing": "leading"},
    "log-snr": {"run": "linear", "guidance": 0.0, "spacing": "log-snr"},
    "dynamic": {"run": "cosine", "guidance": 4.0, "x0_bound": "dynamic"},
    "rescaled": {"run": "cosine", "guidance": 4.0, "guidance_rescale": 0.7},
    "latent": {"run": "latent", "guidance": 2.0, "x0_bound": "none"},
    "text": {"run": "text", "guidance": 2.0, "x0_bound": "none", "prompts": "grid"},
    "simple": {"run": "simple", "guidance": 0.0},
    "by-snapshot": {"run": "cosine", "guidance": 2.0, "guide": "snapshot"},
}
STUDENT = {
    **{"teacher": "cosine", "recipe": "fast", "trajectories": 90, "sampler": "ddim", "steps": 4},
    **{
        "guidance": [1.0, 2.0],
        "guidance_interval": None,
        "points": 2,
        "from_noise": 0.5,
        "seed": 0,
    },
}
FEW = {"run": "student", "sampler": "consistency", "steps": 2, "eta": 1.0, "guidance": 1.6}


def settings(taught: bool = True) -> Settings:
    """Of these runs and cells; with a student, or without."""
    content = fake_results.small_content()
    usual = {"sampler": "dpm-solver-2", "steps": 6, "eta": 0.0, "guidance": 1.0}
    content["runs"] = {name: {**fake_results.RUN, **own} for name, own in RUNS.items()}
    content["cells"] = {name: {**usual, **own} for name, own in CELLS.items()}
    content["sample"] |= {"micro_batch": IMAGES, "latent_batch": IMAGES}
    every = list(CELLS)
    content["tables"] = fake_results.tables(**dict.fromkeys(content["tables"], every))
    content["tstr"]["cells"] = []
    content["report"] = {"headline": "headline"}
    content = fake_results.fitted(content)
    if taught:
        content["students"] = {"student": STUDENT}
        content["cells"]["few"] = {**usual, **FEW}
    return parse_settings(content, "params.yaml")


def build(root: Path) -> None:
    """Write it below the current folder, `root`."""
    plain, made = settings(taught=False), settings()
    fake_results.build(root, plain)
    _add_student(made)
    _save_judge()
    for seed, (name, run) in enumerate(made.denoisers.items()):
        folder, config = paths.model(name), read_json(paths.model(name) / checkpoint.CONFIG)
        network, builders = config["network"], {**DENOISERS, **STUDENTS}
        drawer = lively(seeded(partial(checkpoint.build, builders, **network), seed), seed)
        checkpoint.save(folder, drawer, config)
        snapshots = folder / checkpoint.SNAPSHOTS
        snapshots.mkdir()
        for step in range(1, 4):
            shutil.copy(folder / checkpoint.WEIGHTS, snapshots / f"{step}.safetensors")
        if run.codec:
            _save_codec(folder, made, run.codec)
        if run.conditioning == "text":
            _save_reader(folder)
    for name in made.cells:
        _draw(made, name)


def _save_judge() -> None:
    """One with opinions."""
    judge = lively(seeded(Classifier, 1), 1)
    assert isinstance(judge, Classifier)
    with torch.no_grad():
        judge.head[1].weight.mul_(30)
    checkpoint.save(paths.CLASSIFIER, judge, {"network": {"name": "classifier", "sizes": {}}})


def _add_student(made: Settings) -> None:
    """A cell of it, judged as the headline is."""
    folder, config = paths.model("student"), made.student("student").model_dump()
    folder.mkdir()
    shutil.copy(paths.model("cosine") / paths.BETAS, folder)
    write_json(folder / checkpoint.CONFIG, config)
    paths.samples("few").mkdir()
    manifest = read_json(paths.samples("headline") / MANIFEST)
    shared = made.shared("few").model_dump()
    own = {"cell": made.cell("few").model_dump(), "sample": shared, "training": config}
    manifest["parameters"] |= own
    write_json(paths.samples("few") / MANIFEST, manifest)
    shutil.copy(paths.metrics("headline"), paths.metrics("few"))


def lively(network: nn.Module, seed: int) -> nn.Module:
    """With no weight at zero, where much starts, and running means of their own."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1, generator=generator)
    for name, buffer in network.named_buffers():
        if buffer.is_floating_point():
            nn.init.uniform_(buffer, 0.5 if "var" in name else -0.2, 1.5, generator=generator)
    return network.eval()


def _save_codec(folder: Path, made: Settings, name: str) -> None:
    one = made.codecs[name]
    sizes = {"latent": one.latent, "side": one.side, "channels": made.codec.channels}
    codec = lively(seeded(lambda: Codec(**sizes), 3), 3)
    assert isinstance(codec, Codec)
    scale = Scale([0.1] * one.latent, [1.2] * one.latent)
    save_codec(folder, codec, {"network": {"name": "vae", "sizes": sizes}}, scale)


def _save_reader(folder: Path) -> None:
    sizes = {"tokens": len(VOCABULARY) + 3, "length": 20, "padding": 0, "width": 64}
    reader = TextEncoder(**sizes, layers=2, heads=4, vector=64)
    save_text_encoder(folder, reader.eval())
    write_json(folder / "text/grammar.json", {"vocabulary": VOCABULARY})


def _draw(made: Settings, name: str) -> None:
    cell, folder = made.cell(name), paths.samples(name)
    denoiser = load_denoiser(paths.model(cell.run), torch.device("cpu"), cell)
    images = redraw(denoiser, cell, made.shared(name), range(IMAGES))
    np.save(folder / "images.npy", to_uint8(images))
    if made.denoisers[cell.run].conditioning == "text":
        lines = [f"{prompt_for(k, cell.prompts)}\n" for k in range(IMAGES)]
        (folder / "prompts.txt").write_text("".join(lines))
