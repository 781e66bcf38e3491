"""What comes back of digits that went through a codec, and what that changes of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mnist_diffusion.dataset.attributes import Attributes
from mnist_diffusion.dataset.pixels import to_tensor, to_uint8
from mnist_diffusion.networks.codecs import Codec, decoded, encoded
from mnist_diffusion.runtime.seeds import PerImageNoise

PEAK_TO_PEAK = 2.0
"""Range of pixels in [-1, 1]."""


@dataclass(frozen=True)
class Reconstructions:
    """Digits as they come back, each (n, 28, 28) uint8."""

    of_means: NDArray[np.uint8]
    of_draws: NDArray[np.uint8]
    """Of the posterior, which is what a latent denoiser is trained on."""
    error: float
    """Mean squared, of pixels in [-1, 1], of the means before rounding."""
    high_frequencies: float
    """Share of the latents' energy in the upper half of their band."""

    @property
    def psnr(self) -> float:
        """Peak signal-to-noise ratio, in decibels."""
        return 10 * math.log10(PEAK_TO_PEAK**2 / self.error)


def there_and_back(
    codec: Codec, images: NDArray[np.uint8], seed: int, device: torch.device
) -> Reconstructions:
    """Encode and decode images (n, 28, 28); image k is the same whatever stands beside it."""
    pixels = to_tensor(images)
    means, deviations = encoded(codec, pixels, device)
    noise = PerImageNoise(seed, "fidelity/posterior", range(len(images)), codec.shape)()
    back, drawn = (
        decoded(codec, latents, device) for latents in (means, means + deviations * noise)
    )
    error = float((back.clamp(-1, 1) - pixels).double().square().mean())
    return Reconstructions(to_uint8(back), to_uint8(drawn), error, high_frequencies(means))


def high_frequencies(latents: Tensor) -> float:
    """Share of the energy of (n, c, side, side) whose frequencies along both sides sum above 1/2.

    Each channel counts alike, less its mean. Of white noise it is the share of such frequencies.
    """
    values = latents.double()
    every = (0, 2, 3)
    values = values - values.mean(dim=every, keepdim=True)
    values = values / values.std(dim=every, keepdim=True)
    energy = torch.fft.fft2(values).abs().square().mean(dim=(0, 1))
    along = torch.fft.fftfreq(latents.shape[-1]).abs()
    high = along[:, None] + along > 0.5
    return float(energy[high].sum() / energy.sum())


def changes(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> dict[str, float]:
    """What of thickness, in pixels, and slant, in degrees, is not as it was; (n, 28, 28) each."""
    one, other = Attributes.of(before), Attributes.of(after)
    thicker = other.thickness - one.thickness
    return {
        "thickness_bias": float(thicker.mean()),
        "thickness_error": float(np.abs(thicker).mean()),
        "slant_error": float(np.abs(other.slant - one.slant).mean()),
    }
