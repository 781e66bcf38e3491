"""fidelity: what a codec costs real digits that go through it, to reports/fidelity/<codec>.json.

No sample set drawn in its latent space can be better than that. A few digits, as they are and as
they come back, stay in data/fidelity/<codec>.npy.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mnist_diffusion.dataset.attributes import Attributes
from mnist_diffusion.dataset.captioned import load_levels, load_meaning
from mnist_diffusion.dataset.splits import load_split
from mnist_diffusion.evaluation import real_digits
from mnist_diffusion.evaluation.adherence import kept_looks
from mnist_diffusion.evaluation.estimates import Estimate
from mnist_diffusion.evaluation.features import Extractors, JudgedSet
from mnist_diffusion.evaluation.frechet import fd_infinity, relative_fd
from mnist_diffusion.evaluation.ink import ink
from mnist_diffusion.evaluation.reconstructions import changes, there_and_back
from mnist_diffusion.files import paths
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.codecs import CODECS, Codec
from mnist_diffusion.networks.cost import mflops
from mnist_diffusion.networks.denoisers import DENOISERS
from mnist_diffusion.pipeline import Outcome
from mnist_diffusion.provenance.digests import array_digest, arrays_digest
from mnist_diffusion.provenance.lineage import publish_report, snapshot_inputs
from mnist_diffusion.provenance.schemas.encoder_reports import FidelityReport
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.settings import Settings
from mnist_diffusion.settings.encoders import Codec as Named
from mnist_diffusion.settings.resolve import network_sizes

KEPT = 20
"""Digits that stay to be looked at, two of each where there are as many."""


def run(settings: Settings, name: str) -> Outcome:
    """Judge the test digits as they are and as they come back."""
    device = configure(settings.compute)
    judges = [paths.CLASSIFIER, paths.AUTOENCODER, paths.REFERENCE]
    files = [paths.PREPARED, paths.CAPTIONS, paths.codec(name), *judges]
    inputs = snapshot_inputs(__name__, name, settings, parameters, files, device)
    codec, _ = checkpoint.load(paths.codec(name), CODECS)
    assert isinstance(codec, Codec)
    images, labels = load_split("test")
    back = there_and_back(codec.to(device), images, settings.codec.seed, device)
    extractors = Extractors.load(device)
    sets = {"real": images, "back": back.of_means, "back_drawn": back.of_draws}
    judged = {key: extractors.judge(digits, labels) for key, digits in sets.items()}
    shown = np.stack([digits[_two_of_each(labels)] for digits in (images, back.of_means)])
    report = {
        "codec": name,
        "n": len(images),
        "values": int(np.prod(codec.shape)),
        **_cost(codec, settings, name),
        "error": back.error,
        "psnr": back.psnr,
        "high_frequencies": back.high_frequencies,
        **changes(images, back.of_means),
        "looks": _looks(back.of_draws, judged["back_drawn"]),
        **{key: _scores(own, sets[key], settings) for key, own in judged.items()},
        "level": settings.evaluate.level,
        "digits_sha256": array_digest(shown),
        "codec_sha256": arrays_digest(checkpoint.weights(codec)),
        "classifier_sha256": extractors.digest("classifier"),
        "autoencoder_sha256": extractors.digest("autoencoder"),
    }
    paths.reconstructions(name).parent.mkdir(parents=True, exist_ok=True)
    np.save(paths.reconstructions(name), shown, allow_pickle=False)
    publish_report(paths.fidelity(name), inputs, FidelityReport, **report)
    return Outcome(len(images))


def parameters(settings: Settings, name: str) -> dict[str, Any]:
    """How sure we want to be, the seed of the draws, and the network whose cost is counted."""
    chosen = settings.evaluate.model_dump()
    network = settings.networks.unet.model_dump()
    return {"codec": name, **chosen, "draws_seed": settings.codec.seed, "unet": network}


def _cost(codec: Codec, settings: Settings, name: str) -> dict[str, float]:
    """Of one digit there and back, and of one call of the U-Net, in millions of operations."""
    codec = codec.cpu()
    image, latents = torch.zeros(1, 1, 28, 28), torch.zeros(1, *codec.shape)
    return {
        "encoding_mflop": mflops(codec.encode, image),
        "decoding_mflop": mflops(codec.decode, latents),
        "pixel_mflop": _of_unet(settings, None, image),
        "latent_mflop": _of_unet(settings, settings.codecs[name], latents),
    }


def _of_unet(settings: Settings, codec: Named | None, x: Tensor) -> float:
    network = checkpoint.build(DENOISERS, "unet", network_sizes(settings.networks, "unet", codec))
    one = torch.zeros(1, dtype=torch.int64)
    return mflops(network.eval(), x, one, one)


def _scores(judged: JudgedSet, images: NDArray[np.uint8], settings: Settings) -> dict[str, Any]:
    """Of all test digits: the distances as their number allows, and of as many as one likes."""
    chosen, labels = settings.evaluate, judged.labels
    first, second = (real_digits.load_statistics(which) for which in ("classifier", "autoencoder"))
    background = np.load(paths.REFERENCE / real_digits.BACKGROUND, allow_pickle=False)
    found: dict[str, Estimate] = {
        "relative_fd": relative_fd(judged.features, labels, first),
        "fd_infinity": fd_infinity(judged.features, labels, first, chosen.seed),
        "second_fd_infinity": fd_infinity(judged.second, labels, second, chosen.seed),
        "accuracy": Estimate.mean(judged.right, labels),
        **ink(images, labels, background),
    }
    return {
        **{name: one.value for name, one in found.items()},
        "errors": {name: one.error for name, one in found.items()},
    }


def _looks(back: NDArray[np.uint8], judged: JudgedSet) -> dict[str, Any]:
    meaning, seen = load_meaning(), np.asarray(judged.seen)
    found = meaning.bands.levels(Attributes.of(back), seen)
    return kept_looks(load_levels("test"), found, meaning.corners)


def _two_of_each(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    places = [np.flatnonzero(labels == digit)[: KEPT // 10] for digit in range(10)]
    return np.concatenate(places)
