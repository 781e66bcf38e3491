"""classifier: train the judge on real digits and tell how good it is."""

from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from mnist_diffusion.dataset.scaling import to_tensor
from mnist_diffusion.dataset.splits import load_split
from mnist_diffusion.evaluation.accuracy import agreement, calibration_error, reliability
from mnist_diffusion.evaluation.features import Judgement, judge
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import write_json
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.provenance.digests import arrays_digest
from mnist_diffusion.provenance.environment import environment
from mnist_diffusion.provenance.manifest import publish
from mnist_diffusion.provenance.origin import origin
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.runtime.locks import recreate_dir
from mnist_diffusion.runtime.progress_bar import track
from mnist_diffusion.runtime.seeds import derive_seed, seeded
from mnist_diffusion.settings import Settings
from mnist_diffusion.stages.outcome import Outcome
from mnist_diffusion.training.classification import train_classifier

HISTORY = paths.CLASSIFIER / "history.csv"
NETWORK = {"name": "classifier", "sizes": {}}


def run(settings: Settings) -> Outcome:
    """Train, test on the real test digits, and publish weights, history and report."""
    device = configure(settings.compute)
    taken = origin(__name__, None, settings, parameters, [paths.PREPARED])
    network = _build(settings).to(device)
    history = _train(network, settings, device)
    network.eval()

    checkpoint.save(recreate_dir(paths.CLASSIFIER), network, {"network": NETWORK})
    history.to_csv(HISTORY, index=False, lineterminator="\n")
    images, labels = _load("test")
    report = _report(judge(network, images, device), labels)
    report["classifier_sha256"] = arrays_digest(checkpoint.weights(network))
    write_json(paths.CLASSIFIER_REPORT, report)
    publish(
        paths.CLASSIFIER,
        taken,
        environment(device),
        reports=[paths.CLASSIFIER_REPORT],
    )
    return Outcome(settings.prepare.train * settings.classifier.epochs)


def parameters(settings: Settings) -> dict[str, Any]:
    """What decides the judge's weights, besides the digits."""
    return settings.classifier.model_dump()


def _build(settings: Settings) -> nn.Module:
    seed = derive_seed(settings.classifier.seed, "classifier/weights")
    return seeded(lambda: checkpoint.build("classifier", {}), seed)


def _load(split: str) -> tuple[Tensor, Tensor]:
    images, labels = load_split(split)
    return to_tensor(images), torch.from_numpy(labels)


def _train(network: nn.Module, settings: Settings, device: torch.device) -> pd.DataFrame:
    """Train, and note loss and validation accuracy of each epoch."""
    images, labels = _load("train")
    validation, validation_labels = _load("validation")
    size = settings.classifier.batch_size
    per_epoch = len(images) // size
    batches = train_classifier(network, images, labels, settings.classifier, device)
    total = settings.classifier.epochs * per_epoch
    losses, rows = [], []
    for batch in track(batches, total=total, description="classifier", unit="img", scale=size):
        losses.append(batch.loss)
        if len(losses) == per_epoch:
            network.eval()
            seen = judge(network, validation, device).probabilities.argmax(dim=1)
            accuracy = float((seen == validation_labels).double().mean())
            rows.append((batch.epoch + 1, sum(losses) / len(losses), accuracy))
            losses.clear()
    return pd.DataFrame(rows, columns=["epoch", "loss", "validation_accuracy"])


def _report(judged: Judgement, labels: Tensor) -> dict[str, object]:
    result = agreement(judged.probabilities, labels)
    return {
        "n": len(labels),
        "accuracy": result.overall,
        "accuracy_per_class": result.per_class,
        "confusion": result.confusion,
        "expected_calibration_error": calibration_error(judged.probabilities, labels),
        "reliability": reliability(judged.probabilities, labels),
    }
