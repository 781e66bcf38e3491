"""Codecs: what they say of a digit is a normal law, and shapes are as they are told."""

from pathlib import Path

import pytest
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import Tensor, nn
from torch.nn import functional as F

from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.codecs import CODECS, Codec, Posterior, shrunk
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.runtime.seeds import seeded

SHAPES = [(4, 7), (8, 4), (2, 7)]
CHANNELS = [8, 16]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def codec(latent: int = 4, side: int = 7) -> Codec:
    sizes = {"latent": latent, "side": side, "channels": CHANNELS}
    network = seeded(lambda: checkpoint.build(CODECS, "vae", sizes), seed=1)
    assert isinstance(network, Codec)
    return network


def posterior() -> Posterior:
    return Posterior(normal(5, 4, 7, 7).double(), 3 * normal(5, 4, 7, 7, seed=1).double())


def test_a_posterior_is_that_of_diffusers() -> None:
    """AutoencoderKL's, which sums over an image's numbers."""
    here = posterior()
    there = DiagonalGaussianDistribution(torch.cat([here.mean, here.log_variance], dim=1))
    torch.testing.assert_close(here.divergence().sum(dim=(1, 2, 3)), there.kl())
    torch.testing.assert_close(here.deviation, there.std)
    noise = normal(5, 4, 7, 7, seed=2).double()
    torch.testing.assert_close(here.drawn(noise), there.mean + there.std * noise)
    torch.testing.assert_close(here.drawn(torch.zeros_like(noise)), there.mode())


@pytest.mark.parametrize(("latent", "side"), SHAPES)
@torch.no_grad()
def test_shapes_are_as_told(latent: int, side: int) -> None:
    network = codec(latent, side)
    images = normal(3, 1, 28, 28)
    said = network.encode(images)
    assert network.shape == (latent, side, side)
    assert said.mean.shape == said.log_variance.shape == (3, *network.shape)
    back, again = network(images, torch.zeros(3, *network.shape), side)
    assert back.shape == images.shape
    assert torch.equal(back, network.decode(again.mean))


@pytest.mark.parametrize("side", [4, 5, 6])
@torch.no_grad()
def test_what_is_drawn_can_be_shrunk_before_it_is_decoded(side: int) -> None:
    network, images, noise = codec(), normal(3, 1, 28, 28), normal(3, 4, 7, 7, seed=1)
    back, said = network(images, noise, side)
    assert back.shape == (3, 1, 4 * side, 4 * side)
    assert torch.equal(back, network.decode(shrunk(said.drawn(noise), side)))


@pytest.mark.parametrize(("old", "side"), [(7, 4), (7, 6), (28, 16), (28, 20), (7, 7)])
def test_maps_are_shrunk_as_torch_shrinks_them(old: int, side: int) -> None:
    maps = normal(2, 3, old, old).double()
    expected = F.interpolate(maps, (side, side), mode="bilinear", antialias=True)
    torch.testing.assert_close(shrunk(maps, side), expected, rtol=1e-5, atol=1e-5)


def test_the_notes_codec_has_the_notes_parameters() -> None:
    """Counted by hand: 4 channels of 7×7 from channels 24 and 48."""

    def convolution(channels_in: int, channels_out: int, kernel: int = 9) -> int:
        return channels_in * channels_out * kernel + channels_out

    block = 2 * (2 * 48) + 2 * convolution(48, 48)
    encoder = convolution(4, 24) + convolution(24, 48) + block + 96 + convolution(48, 8, 1)
    decoder = convolution(4, 48) + block + 96 + convolution(48, 24) + convolution(24, 4)
    network = Codec(latent=4, side=7, channels=[24, 48])
    assert sum(p.numel() for p in network.parameters()) == encoder + decoder


@torch.no_grad()
def test_extreme_outputs_stay_finite() -> None:
    network = codec()
    last = network.encoder[-1]
    assert isinstance(last, nn.Conv2d) and last.bias is not None
    nn.init.constant_(last.bias, 1e4)
    said = network.encode(normal(2, 1, 28, 28))
    assert bool(said.deviation.isfinite().all())


def test_a_side_that_no_codec_has_is_refused(tmp_path: Path) -> None:
    sizes = {"latent": 8, "side": 5, "channels": CHANNELS}
    with pytest.raises(ValueError, match="side: 5"):
        Codec(latent=8, side=5, channels=CHANNELS)
    checkpoint.save(tmp_path, codec(), {"network": {"name": "vae", "sizes": sizes}})
    with pytest.raises(UserError, match="names no network"):
        checkpoint.load(tmp_path, CODECS)
