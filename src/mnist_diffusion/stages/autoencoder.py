"""autoencoder: train the second feature extractor, and test how well it restores digits."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mnist_diffusion.dataset.pixels import to_tensor
from mnist_diffusion.dataset.splits import load_split
from mnist_diffusion.files import paths
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.judges import AUTOENCODER_FEATURES
from mnist_diffusion.pipeline import Outcome
from mnist_diffusion.provenance.digests import arrays_digest
from mnist_diffusion.provenance.lineage import publish_folder, snapshot_inputs
from mnist_diffusion.provenance.schemas.artifact import dump
from mnist_diffusion.provenance.schemas.judge_reports import AutoencoderReport
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.runtime.locks import recreate_dir
from mnist_diffusion.runtime.seeds import generator
from mnist_diffusion.settings import Settings
from mnist_diffusion.training.supervised import corrupt, reconstruction, train_epochs

HISTORY = paths.AUTOENCODER / "history.csv"
NETWORK = {"name": "autoencoder", "sizes": {}}
BATCH = 500


def run(settings: Settings) -> Outcome:
    """Train, test on the real test digits, and publish weights, history and report."""
    device = configure(settings.compute)
    inputs = snapshot_inputs(__name__, None, settings, parameters, [paths.PREPARED], device)
    task = reconstruction(_load("train"), settings.autoencoder, device)
    network = task.fresh_network().to(device)
    error = partial(_error, network, settings=settings, device=device)
    history = train_epochs(network, task, validation_error=partial(error, _load("validation")))

    checkpoint.save(recreate_dir(paths.AUTOENCODER), network, {"network": NETWORK})
    history.to_csv(HISTORY, index=False, lineterminator="\n")
    images = _load("test")
    report = AutoencoderReport(
        n=len(images),
        features=AUTOENCODER_FEATURES,
        reconstruction_error=error(images),
        variance=float(images.double().var(dim=0, correction=0).mean()),
        autoencoder_sha256=arrays_digest(checkpoint.weights(network)),
    )
    dump(paths.AUTOENCODER_REPORT, report)
    publish_folder(paths.AUTOENCODER, inputs, reports=[paths.AUTOENCODER_REPORT])
    return Outcome(settings.prepare.train * settings.autoencoder.epochs)


def parameters(settings: Settings) -> dict[str, Any]:
    """What decides the autoencoder's weights, besides the digits."""
    return settings.autoencoder.model_dump()


def _load(split: str) -> Tensor:
    return to_tensor(load_split(split).images)


@torch.inference_mode()
def _error(network: nn.Module, images: Tensor, settings: Settings, device: torch.device) -> float:
    """Mean squared error per pixel in [-1, 1] on unseen digits, corrupted as in training."""
    network.eval()
    randomness = generator(settings.autoencoder.seed, "extractor/error")
    total = 0.0
    for clean in images.split(BATCH):
        chosen = settings.autoencoder
        corrupted = corrupt(clean, chosen.mask, chosen.noise, randomness)
        _, restored = network(corrupted.to(device))
        total += float(F.mse_loss(restored.cpu().double(), clean.double(), reduction="sum"))
    return total / images.numel()
