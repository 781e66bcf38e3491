"""judges: train the other judges, which rank the cells too, and measure the real digits by each."""

from typing import Any

import torch
from safetensors.torch import save_file

from mnist_diffusion.dataset.pixels import to_tensor
from mnist_diffusion.dataset.splits import load_split
from mnist_diffusion.evaluation.features import classify
from mnist_diffusion.evaluation.frechet import ReferenceStatistics
from mnist_diffusion.evaluation.real_digits import STATISTICS
from mnist_diffusion.files import paths
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.pipeline import Outcome
from mnist_diffusion.provenance.lineage import publish_folder, snapshot_inputs
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.runtime.locks import recreate_dir
from mnist_diffusion.settings import Settings
from mnist_diffusion.training.supervised import trained_classifier

NETWORK = {"name": "classifier", "sizes": {}}


def run(settings: Settings) -> Outcome:
    """Train each, and publish its weights and the statistics of the training digits by it."""
    device = configure(settings.compute)
    inputs = snapshot_inputs(__name__, None, settings, parameters, [paths.PREPARED], device)
    digits = load_split("train")
    images, labels = to_tensor(digits.images), torch.from_numpy(digits.labels)
    folder = recreate_dir(paths.JUDGES)
    for name, changed in settings.judges.items():
        recipe = settings.classifier.model_copy(update=changed.model_dump())
        network = trained_classifier(images, labels, recipe, device)
        checkpoint.save(folder / name, network, {"network": NETWORK})
        known = ReferenceStatistics.of(classify(network, images, device).features)
        save_file(known.tensors, folder / name / STATISTICS)
    publish_folder(folder, inputs)
    return Outcome(len(labels) * settings.classifier.epochs * len(settings.judges))


def parameters(settings: Settings) -> dict[str, Any]:
    """The classifier's recipe, and in what each judge departs from it."""
    changed = {
        f"{name}_{key}": value
        for name, judge in settings.judges.items()
        for key, value in judge.model_dump().items()
    }
    return {**settings.classifier.model_dump(), **changed}
