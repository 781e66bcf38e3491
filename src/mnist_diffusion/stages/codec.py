"""codec: train one variational autoencoder, from its settings to models/codecs/<codec>/."""

from typing import Any

import torch

from mnist_diffusion.dataset.splits import load_split
from mnist_diffusion.files import paths
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.codecs import CODECS, Codec
from mnist_diffusion.pipeline import Outcome
from mnist_diffusion.provenance.digests import arrays_digest
from mnist_diffusion.provenance.lineage import publish_folder, snapshot_inputs
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.runtime.locks import recreate_dir
from mnist_diffusion.runtime.resumption import Resumption
from mnist_diffusion.runtime.seeds import derive_seed, seeded
from mnist_diffusion.settings import Settings
from mnist_diffusion.training.compression import DETAILS, Compression
from mnist_diffusion.training.resumable import train_resumably


def run(settings: Settings, name: str) -> Outcome:
    """Train the codec, and publish weights, history and manifest."""
    device = configure(settings.compute)
    inputs = snapshot_inputs(__name__, name, settings, parameters, [paths.PREPARED], device)
    resumption = Resumption(f"codec@{name}", inputs.key)
    chosen, sizes = settings.codec, _sizes(settings, name)
    seed = derive_seed(chosen.seed, "codec/weights")
    network = seeded(lambda: checkpoint.build(CODECS, "vae", sizes), seed).to(device)
    assert isinstance(network, Codec)
    images = torch.from_numpy(load_split("train").images)
    objective = Compression(images, settings.codecs[name], chosen, device)
    training = train_resumably(network, objective, chosen.recipe, DETAILS, resumption)

    folder = recreate_dir(paths.codec(name))
    checkpoint.save(folder, network, {"network": {"name": "vae", "sizes": sizes}})
    history = training.history(chosen.log_every)
    history.to_csv(folder / "history.csv", index=False, lineterminator="\n")
    details: dict[str, Any] = {
        "network_parameters": sum(p.numel() for p in network.parameters()),
        "outputs": {"codec_sha256": arrays_digest(checkpoint.weights(network))},
    }
    publish_folder(folder, inputs, **details)
    resumption.clear()
    seen = chosen.recipe.steps * chosen.recipe.batch_size
    return Outcome(seen, resumption.earlier_seconds)


def parameters(settings: Settings, name: str) -> dict[str, Any]:
    """What decides the weights, besides the digits."""
    return {"codec": settings.codecs[name].model_dump(), "training": settings.codec.model_dump()}


def _sizes(settings: Settings, name: str) -> dict[str, Any]:
    """What rebuilds the network."""
    return {
        **settings.codecs[name].model_dump(exclude={"shrunk"}),
        "channels": settings.codec.channels,
    }
