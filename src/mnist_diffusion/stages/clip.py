"""clip: train text and image encoder on captions of digits, and test them on other digits."""

from typing import Any

import numpy as np
import torch
from torch import nn

from mnist_diffusion.dataset import grammar
from mnist_diffusion.dataset.captioned import GRAMMAR, LEVELS, load_levels, load_meaning
from mnist_diffusion.dataset.levels import Corners
from mnist_diffusion.dataset.splits import load_split
from mnist_diffusion.evaluation.zero_shot import scores
from mnist_diffusion.files import paths
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.encoders import ENCODERS, Clip
from mnist_diffusion.pipeline import Outcome
from mnist_diffusion.provenance.digests import arrays_digest
from mnist_diffusion.provenance.lineage import publish_folder, snapshot_inputs
from mnist_diffusion.provenance.schemas.artifact import dump
from mnist_diffusion.provenance.schemas.encoder_reports import ClipReport
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.runtime.locks import recreate_dir
from mnist_diffusion.runtime.resumption import Resumption
from mnist_diffusion.runtime.seeds import derive_seed, generator, seeded
from mnist_diffusion.settings import Settings
from mnist_diffusion.settings.encoders import ClipTraining
from mnist_diffusion.training.contrast import DETAILS, Contrast
from mnist_diffusion.training.resumable import train_resumably

TOKENS = {"tokens": grammar.TOKENS, "length": grammar.LENGTH, "padding": grammar.PADDING}


def run(settings: Settings) -> Outcome:
    """Train on digits that are not held out; publish weights, grammar, history and report."""
    device = configure(settings.compute)
    files = [paths.PREPARED, paths.CAPTIONS]
    inputs = snapshot_inputs(__name__, None, settings, parameters, files, device)
    resumption = Resumption("clip", inputs.key)
    chosen, meaning = settings.clip, load_meaning()
    levels = load_levels("train")
    learned = ~meaning.corners.hold(levels)
    images = torch.from_numpy(load_split("train").images[learned])
    network = _fresh(chosen).to(device)
    objective = Contrast(images, levels[learned], chosen, device)
    training = train_resumably(network, objective, chosen.recipe, DETAILS, resumption)

    folder = recreate_dir(paths.CLIP)
    checkpoint.save(folder, network, {"network": {"name": "clip", "sizes": sizes(chosen)}})
    history = training.history(chosen.log_every)
    history.to_csv(folder / "history.csv", index=False, lineterminator="\n")
    meaning.save(folder / GRAMMAR)
    np.save(folder / LEVELS, levels, allow_pickle=False)
    digest = arrays_digest(checkpoint.weights(network))
    dump(paths.CLIP_REPORT, _report(network, meaning.corners, chosen.seed, device, digest))
    outputs = {"clip_sha256": digest}
    publish_folder(folder, inputs, reports=[paths.CLIP_REPORT], outputs=outputs)
    resumption.clear()
    seen = chosen.recipe.steps * chosen.recipe.batch_size
    return Outcome(seen, resumption.earlier_seconds)


def parameters(settings: Settings) -> dict[str, Any]:
    """What decides the weights, besides the digits and their captions."""
    return settings.clip.model_dump()


def sizes(chosen: ClipTraining) -> dict[str, Any]:
    """What rebuilds the network."""
    return {
        "text": {**TOKENS, **chosen.text.model_dump()},
        "image": chosen.image.model_dump(),
        "vector": chosen.vector,
    }


def _fresh(chosen: ClipTraining) -> nn.Module:
    seed = derive_seed(chosen.seed, "clip/weights")
    return seeded(lambda: checkpoint.build(ENCODERS, "clip", sizes(chosen)), seed)


def _report(
    network: nn.Module, corners: Corners, seed: int, device: torch.device, digest: str
) -> ClipReport:
    """On the test digits in an order of their own: the first 5,000 are cleaner than the rest."""
    assert isinstance(network, Clip)
    images, levels = load_split("test").images, load_levels("test")
    order = torch.randperm(len(levels), generator=generator(seed, "clip/order")).numpy()
    found = scores(network, images[order], levels[order], corners, seed, device)
    return ClipReport(n=len(levels), **found, clip_sha256=digest)
