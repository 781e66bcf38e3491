"""latents: every training digit as a codec has it, to data/latents/<codec>/.

The codec itself lies beside them, so that what is trained on them needs nothing else.
"""

from typing import Any

import numpy as np

from mnist_diffusion.dataset.pixels import to_tensor
from mnist_diffusion.dataset.splits import load_split
from mnist_diffusion.files import paths
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.codec_files import save_codec
from mnist_diffusion.networks.codecs import CODECS, Codec, encoded
from mnist_diffusion.networks.latent_scale import Scale
from mnist_diffusion.pipeline import Outcome
from mnist_diffusion.provenance.digests import array_digest, arrays_digest
from mnist_diffusion.provenance.lineage import publish_folder, snapshot_inputs
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.runtime.locks import recreate_dir
from mnist_diffusion.settings import Settings


def run(settings: Settings, name: str) -> Outcome:
    """Encode the training digits, and measure by how much each channel is to be scaled."""
    device = configure(settings.compute)
    source = paths.codec(name)
    inputs = snapshot_inputs(__name__, name, settings, parameters, [paths.PREPARED, source], device)
    codec, config = checkpoint.load(source, CODECS)
    assert isinstance(codec, Codec)
    images, labels = load_split("train")
    means, deviations = encoded(codec.to(device), to_tensor(images), device)

    folder = recreate_dir(paths.latents(name))
    arrays = {"means": means.numpy(), "deviations": deviations.numpy(), "labels": labels}
    for part, array in arrays.items():
        np.save(folder / f"train-{part}.npy", array, allow_pickle=False)
    save_codec(folder, codec, config, Scale.of(means, deviations))
    details: dict[str, Any] = {
        "inputs": {
            "codec_sha256": arrays_digest(checkpoint.weights(codec)),
            "images_sha256": array_digest(images),
        },
        "outputs": {f"{part}_sha256": array_digest(array) for part, array in arrays.items()},
    }
    publish_folder(folder, inputs, **details)
    return Outcome(len(images))


def parameters(settings: Settings, name: str) -> dict[str, Any]:
    """Nothing but the codec and the digits."""
    return {}
