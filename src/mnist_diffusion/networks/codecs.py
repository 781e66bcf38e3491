"""Variational autoencoders: a digit as a few channels of a small map, and back (Kingma & Welling).

Without the perceptual and adversarial losses of latent diffusion models (Rombach et al. 2022): the
only networks that know digits here are the judges, and a codec must not be taught to please them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mnist_diffusion.networks.blocks import zeroed
from mnist_diffusion.networks.fixed_batches import in_batches

GROUPS = 8
FOLD = 2
"""Pixels along a side that are folded into channels."""
HALVED = 7
"""Side of a digit, folded and halved once."""
LOG_VARIANCES = (-30.0, 20.0)
"""What log-variances are held within, so that their exponentials are finite."""


@dataclass(frozen=True)
class Posterior:
    """What a codec says of a digit: independent normal laws of its latent numbers."""

    mean: Tensor
    log_variance: Tensor
    """Both (n, channels, side, side)."""

    @property
    def deviation(self) -> Tensor:
        return torch.exp(0.5 * self.log_variance)

    def drawn(self, noise: Tensor) -> Tensor:
        """A draw, from standard normal noise of the mean's shape."""
        return self.mean + self.deviation * noise

    def divergence(self) -> Tensor:
        """KL from the standard normal law, in nats, of each latent number."""
        excess = self.mean.square() + self.log_variance.exp() - 1 - self.log_variance
        return 0.5 * excess


class Codec(nn.Module):
    """28×28 pixels to `latent` channels of `side`×`side`, and back the same way."""

    def __init__(self, *, latent: int, side: int, channels: Sequence[int]):
        """`side` is 7 or 4, else a ValueError; `channels` at 14×14 and below, multiples of 8."""
        super().__init__()
        fine, coarse = channels
        if side not in (HALVED, 4):
            raise ValueError(f"side: {side} is neither 7 nor 4")
        self.latent, self.side = latent, side
        narrowing: list[nn.Module] = []
        widening: list[nn.Module] = []
        if side < HALVED:
            narrowing = [nn.SiLU(), _halving(coarse, coarse), PlainBlock(coarse)]
            widening = [PlainBlock(coarse), nn.Upsample(size=HALVED), _kept(coarse, coarse)]
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(FOLD),
            _kept(FOLD**2, fine),
            nn.SiLU(),
            _halving(fine, coarse),
            PlainBlock(coarse),
            *narrowing,
            nn.GroupNorm(GROUPS, coarse),
            nn.SiLU(),
            nn.Conv2d(coarse, 2 * latent, 1),
        )
        self.decoder = nn.Sequential(
            _kept(latent, coarse),
            *widening,
            PlainBlock(coarse),
            nn.GroupNorm(GROUPS, coarse),
            nn.SiLU(),
            nn.Upsample(scale_factor=2),
            _kept(coarse, fine),
            nn.SiLU(),
            _kept(fine, FOLD**2),
            nn.PixelShuffle(FOLD),
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of a digit's latent numbers."""
        return self.latent, self.side, self.side

    def encode(self, x: Tensor) -> Posterior:
        """Images (n, 1, 28, 28) in [-1, 1] → what is said of each."""
        output = self.encoder(x.contiguous(memory_format=torch.channels_last))
        mean, log_variance = output.chunk(2, dim=1)
        return Posterior(mean, log_variance.clamp(*LOG_VARIANCES))

    def decode(self, z: Tensor) -> Tensor:
        """Latent numbers (n, *shape) → images (n, 1, 28, 28), now and then beyond [-1, 1]."""
        images: Tensor = self.decoder(z.contiguous(memory_format=torch.channels_last))
        return images

    def forward(self, x: Tensor, noise: Tensor, side: int) -> tuple[Tensor, Posterior]:
        """Images there and back by way of a draw, and what that was drawn from.

        The draw is shrunk to `side`, and what comes back is as much smaller.
        """
        posterior = self.encode(x)
        return self.decode(shrunk(posterior.drawn(noise), side)), posterior


class PlainBlock(nn.Module):
    """GroupNorm, SiLU, conv, twice, as a residual branch that starts as the identity."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, channels)
        self.conv1 = _kept(channels, channels)
        self.norm2 = nn.GroupNorm(GROUPS, channels)
        self.conv2 = zeroed(_kept(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) → the same shape."""
        h = self.conv1(F.silu(self.norm1(x)))
        output: Tensor = x + self.conv2(F.silu(self.norm2(h)))
        return output


def encoded(codec: Codec, pixels: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """Means and deviations of the posteriors of images (n, 1, 28, 28), each (n, *shape)."""

    def run(batch: Tensor) -> tuple[Tensor, Tensor]:
        posterior = codec.encode(batch)
        return posterior.mean, posterior.deviation

    means, deviations = in_batches(run, pixels, device)
    return means, deviations


def decoded(codec: Codec, latents: Tensor, device: torch.device) -> Tensor:
    """Images (n, 1, 28, 28) of latent numbers (n, *shape)."""
    return in_batches(lambda batch: (codec.decode(batch),), latents, device)[0]


def shrunk(x: Tensor, side: int) -> Tensor:
    """Maps (n, c, old, old) → (n, c, side, side), each number a mean of those around its place.

    Bilinear with antialiasing as torch has it, by its weights: so its gradient is as deterministic
    on a GPU.
    """
    old = x.shape[-1]
    if side == old:
        return x
    identity = torch.eye(old).view(1, 1, old, old)
    weights = F.interpolate(identity, (side, old), mode="bilinear", antialias=True)[0, 0]
    weights = weights.to(x)
    return weights @ x @ weights.T


def _kept(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, padding=1)


def _halving(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1)


CODECS: dict[str, Callable[..., nn.Module]] = {"vae": Codec}
"""What a codec's config may name."""
