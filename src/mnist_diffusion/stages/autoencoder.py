"""autoencoder: train the second network to measure in, and tell how well it restores digits."""

from typing import Any, cast

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from mnist_diffusion.dataset.scaling import to_tensor
from mnist_diffusion.dataset.splits import load_split
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import write_json
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.autoencoder import FEATURES, Autoencoder
from mnist_diffusion.provenance.digests import arrays_digest
from mnist_diffusion.provenance.environment import environment
from mnist_diffusion.provenance.manifest import publish
from mnist_diffusion.provenance.origin import origin
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.runtime.locks import recreate_dir
from mnist_diffusion.runtime.progress_bar import track
from mnist_diffusion.runtime.seeds import derive_seed, generator, seeded
from mnist_diffusion.settings import Settings
from mnist_diffusion.stages.outcome import Outcome
from mnist_diffusion.training.reconstruction import spoiled, train_autoencoder

HISTORY = paths.AUTOENCODER / "history.csv"
NETWORK = {"name": "autoencoder", "sizes": {}}
BATCH = 500


def run(settings: Settings) -> Outcome:
    """Train, test on the real test digits, and publish weights, history and report."""
    device = configure(settings.compute)
    taken = origin(__name__, None, settings, parameters, [paths.PREPARED])
    network = _build(settings).to(device)
    history = _train(network, settings, device)

    checkpoint.save(recreate_dir(paths.AUTOENCODER), network, {"network": NETWORK})
    history.to_csv(HISTORY, index=False, lineterminator="\n")
    images = _load("test")
    report = {
        "n": len(images),
        "features": FEATURES,
        "reconstruction_error": _error(network, images, settings, device),
        "variance": float(images.double().var(dim=0, correction=0).mean()),
        "autoencoder_sha256": arrays_digest(checkpoint.weights(network)),
    }
    write_json(paths.AUTOENCODER_REPORT, report)
    publish(paths.AUTOENCODER, taken, environment(device), reports=[paths.AUTOENCODER_REPORT])
    return Outcome(settings.prepare.train * settings.autoencoder.epochs)


def parameters(settings: Settings) -> dict[str, Any]:
    """What decides the autoencoder's weights, besides the digits."""
    return settings.autoencoder.model_dump()


def _build(settings: Settings) -> Autoencoder:
    seed = derive_seed(settings.autoencoder.seed, "extractor/weights")
    return cast(Autoencoder, seeded(lambda: checkpoint.build("autoencoder", {}), seed))


def _load(split: str) -> Tensor:
    return to_tensor(load_split(split).images)


def _train(network: Autoencoder, settings: Settings, device: torch.device) -> pd.DataFrame:
    """Train, and note loss and validation error of each epoch."""
    images, validation = _load("train"), _load("validation")
    size = settings.autoencoder.batch_size
    per_epoch = len(images) // size
    batches = train_autoencoder(network, images, settings.autoencoder, device)
    total = settings.autoencoder.epochs * per_epoch
    losses, rows = [], []
    for batch in track(batches, total=total, description="autoencoder", unit="img", scale=size):
        losses.append(batch.loss)
        if len(losses) == per_epoch:
            error = _error(network, validation, settings, device)
            rows.append((batch.epoch + 1, sum(losses) / len(losses), error))
            losses.clear()
    return pd.DataFrame(rows, columns=["epoch", "loss", "validation_error"])


@torch.inference_mode()
def _error(network: Autoencoder, images: Tensor, settings: Settings, device: torch.device) -> float:
    """Mean squared error per pixel in [-1, 1] on unseen digits, spoiled as in training."""
    network.eval()
    randomness = generator(settings.autoencoder.seed, "extractor/error")
    total = 0.0
    for clean in images.split(BATCH):
        chosen = settings.autoencoder
        spoilt = spoiled(clean, chosen.mask, chosen.noise, randomness)
        _, restored = network(spoilt.to(device))
        total += float(F.mse_loss(restored.cpu().double(), clean.double(), reduction="sum"))
    return total / images.numel()
