"""classifier: train the classifier whose features FD is measured in, and test it."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mnist_diffusion.dataset.pixels import to_tensor
from mnist_diffusion.dataset.splits import load_split
from mnist_diffusion.evaluation.accuracy import agreement, calibration_error, reliability
from mnist_diffusion.evaluation.features import Classification, classify
from mnist_diffusion.files import paths
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.pipeline import Outcome
from mnist_diffusion.provenance.digests import arrays_digest
from mnist_diffusion.provenance.lineage import publish_folder, snapshot_inputs
from mnist_diffusion.provenance.schemas.artifact import dump
from mnist_diffusion.provenance.schemas.judge_reports import ClassifierReport
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.runtime.locks import recreate_dir
from mnist_diffusion.settings import Settings
from mnist_diffusion.training.supervised import classification, train_epochs

HISTORY = paths.CLASSIFIER / "history.csv"
NETWORK = {"name": "classifier", "sizes": {}}


def run(settings: Settings) -> Outcome:
    """Train, test on the real test digits, and publish weights, history and report."""
    device = configure(settings.compute)
    inputs = snapshot_inputs(__name__, None, settings, parameters, [paths.PREPARED], device)
    task = classification(*_load("train"), settings.classifier, device)
    network = task.fresh_network().to(device)
    accuracy = partial(_accuracy, network, *_load("validation"), device)
    history = train_epochs(network, task, validation_accuracy=accuracy)

    checkpoint.save(recreate_dir(paths.CLASSIFIER), network, {"network": NETWORK})
    history.to_csv(HISTORY, index=False, lineterminator="\n")
    images, labels = _load("test")
    report = _report(classify(network, images, device), labels)
    report["classifier_sha256"] = arrays_digest(checkpoint.weights(network))
    dump(paths.CLASSIFIER_REPORT, ClassifierReport(**report))
    publish_folder(paths.CLASSIFIER, inputs, reports=[paths.CLASSIFIER_REPORT])
    return Outcome(settings.prepare.train * settings.classifier.epochs)


def parameters(settings: Settings) -> dict[str, Any]:
    """What decides the classifier's weights, besides the digits."""
    return settings.classifier.model_dump()


def _load(split: str) -> tuple[Tensor, Tensor]:
    images, labels = load_split(split)
    return to_tensor(images), torch.from_numpy(labels)


def _accuracy(network: nn.Module, images: Tensor, labels: Tensor, device: torch.device) -> float:
    return float((classify(network, images, device).seen == labels).double().mean())


def _report(judged: Classification, labels: Tensor) -> dict[str, Any]:
    return {
        "n": len(labels),
        **agreement(judged.probabilities, labels),
        "expected_calibration_error": calibration_error(judged.probabilities, labels),
        "reliability": reliability(judged.probabilities, labels),
    }
