"""extractor: train the second network to measure in, and tell how well it restores digits."""

from typing import Any, cast

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from mnist_diffusion import paths
from mnist_diffusion.compute import configure
from mnist_diffusion.dataset.scaling import to_tensor
from mnist_diffusion.dataset.splits import load_split
from mnist_diffusion.jsonfile import read_json, write_json
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.extractor import FEATURES, Extractor
from mnist_diffusion.progress import track
from mnist_diffusion.provenance.digests import arrays_digest
from mnist_diffusion.provenance.environment import environment
from mnist_diffusion.provenance.folders import MANIFEST, read_manifest
from mnist_diffusion.provenance.manifest import publish
from mnist_diffusion.provenance.origin import origin
from mnist_diffusion.randomness import derive_seed, generator, seeded
from mnist_diffusion.settings import Settings
from mnist_diffusion.stages.record import HistoryPoint, Record
from mnist_diffusion.training.reconstruction import spoiled, train_extractor
from mnist_diffusion.writers import emptied

HISTORY = paths.EXTRACTOR / "history.csv"
NETWORK = {"name": "extractor", "sizes": {}}
BATCH = 500


def run(settings: Settings) -> None:
    """Train, test on the real test digits, and publish weights, history and report."""
    device = configure(settings.compute)
    taken = origin(__name__, None, settings, parameters, [paths.PREPARED])
    network = _build(settings).to(device)
    history = _train(network, settings, device)

    checkpoint.save(emptied(paths.EXTRACTOR), network, {"network": NETWORK})
    history.to_csv(HISTORY, index=False, lineterminator="\n")
    images = _load("test")
    report = {
        "n": len(images),
        "features": FEATURES,
        "reconstruction_error": _error(network, images, settings, device),
        "variance": float(images.double().var(dim=0, correction=0).mean()),
        "extractor_sha256": arrays_digest(checkpoint.weights(network)),
    }
    write_json(paths.EXTRACTOR_REPORT, report)
    publish(paths.EXTRACTOR, taken, environment(device), reports=[paths.EXTRACTOR_REPORT])


def parameters(settings: Settings) -> dict[str, Any]:
    """What decides the extractor's weights, besides the digits."""
    return settings.extractor.model_dump()


def record(settings: Settings) -> Record:
    """What was published, for tracking."""
    report = read_json(paths.EXTRACTOR_REPORT)
    history = pd.read_csv(HISTORY)
    chosen = read_manifest(paths.EXTRACTOR)["parameters"]
    digits_seen = read_json(paths.PREPARED / "summary.json")["splits"]["train"]["count"]
    return Record(
        params=chosen,
        metrics={key: report[key] for key in ("reconstruction_error", "variance")},
        tags={"extractor_sha256": report["extractor_sha256"]},
        history=[
            HistoryPoint(metric, float(row[metric]), int(row["epoch"]))
            for _, row in history.iterrows()
            for metric in ("loss", "validation_error")
        ],
        artifacts=[
            paths.EXTRACTOR_REPORT,
            paths.EXTRACTOR / checkpoint.CONFIG,
            paths.EXTRACTOR / MANIFEST,
        ],
        images=digits_seen * chosen["epochs"],
    )


def _build(settings: Settings) -> Extractor:
    seed = derive_seed(settings.extractor.seed, "extractor/weights")
    return cast(Extractor, seeded(lambda: checkpoint.build("extractor", {}), seed))


def _load(split: str) -> Tensor:
    return to_tensor(load_split(split).images)


def _train(network: Extractor, settings: Settings, device: torch.device) -> pd.DataFrame:
    """Train, and note loss and validation error of each epoch."""
    images, validation = _load("train"), _load("validation")
    size = settings.extractor.batch_size
    per_epoch = len(images) // size
    batches = train_extractor(network, images, settings.extractor, device)
    total = settings.extractor.epochs * per_epoch
    losses, rows = [], []
    for batch in track(batches, total=total, description="extractor", unit="img", scale=size):
        losses.append(batch.loss)
        if len(losses) == per_epoch:
            error = _error(network, validation, settings, device)
            rows.append((batch.epoch + 1, sum(losses) / len(losses), error))
            losses.clear()
    return pd.DataFrame(rows, columns=["epoch", "loss", "validation_error"])


@torch.inference_mode()
def _error(network: Extractor, images: Tensor, settings: Settings, device: torch.device) -> float:
    """Mean squared error per pixel in [-1, 1] on unseen digits, spoiled as in training."""
    network.eval()
    randomness = generator(settings.extractor.seed, "extractor/error")
    total = 0.0
    for clean in images.split(BATCH):
        chosen = settings.extractor
        spoilt = spoiled(clean, chosen.mask, chosen.noise, randomness)
        _, restored = network(spoilt.to(device))
        total += float(F.mse_loss(restored.cpu().double(), clean.double(), reduction="sum"))
    return total / images.numel()
