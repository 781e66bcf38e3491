"""What codecs cost, and what text and image encoder know; shares and accuracies are fractions."""

from __future__ import annotations

from typing import Literal

from mnist_diffusion.provenance.schemas.artifact import Digest, Sourced, Strict


class DigitsJudged(Strict):
    """All test digits, as they are or as they come back from a codec; names as in METRICS."""

    relative_fd: float
    fd_infinity: float
    second_fd_infinity: float
    accuracy: float
    saturated: float
    mass: float
    background: float
    errors: dict[str, float]
    """The standard error of each."""


class Obedience(Strict):
    """Shares of n images for which what is asked is true; null of none."""

    n: int
    digit: float | None
    thickness: float | None
    slant: float | None
    width: float | None
    everything: float | None


class KeptLooks(Strict):
    """Digits that still are what a prompt for their own digit and looks asks for."""

    all: Obedience
    held_out: Obedience
    """In the corner that no training saw their digit in."""
    seen_corners: Obedience
    """In the other corners of thickness and slant."""


class FidelityReport(Sourced):
    """reports/fidelity/<codec>.json: what a codec costs the real test digits."""

    codec: str
    n: int
    values: int
    """Latent numbers of a digit."""
    encoding_mflop: float
    decoding_mflop: float
    """Millions of floating-point operations of one digit,"""
    pixel_mflop: float
    latent_mflop: float
    """and of one call of the U-Net, in pixels and in these latents."""
    error: float
    """Mean squared, of pixels in [-1, 1]."""
    psnr: float
    """Decibels."""
    high_frequencies: float
    """Share of the latents' energy in the upper half of their band."""
    thickness_bias: float
    thickness_error: float
    """Pixels: the mean of what is added to a stroke, and of how much that is without its sign."""
    slant_error: float
    """Degrees, on average."""
    real: DigitsJudged
    back: DigitsJudged
    """By way of the mean of what the codec says."""
    back_drawn: DigitsJudged
    """By way of a draw from it."""
    looks: KeptLooks
    """By way of a draw."""
    level: float
    """How often an interval is to hold the true value."""
    digits_sha256: Digest
    """Of data/fidelity/<codec>.npy, a few digits as they are and as they come back."""
    codec_sha256: Digest
    classifier_sha256: Digest
    autoencoder_sha256: Digest


class Following(Strict):
    """How what is measured on images follows what they were asked for."""

    means: dict[str, float]
    """By code: 1 thin or left, 2 medium or upright, 3 thick or right."""
    rank_correlation: float | None
    """Spearman's; null where everything was asked alike."""


class AdherenceReport(Sourced):
    """reports/adherence/<cell>.json: do a text run's digits look as they were asked to?"""

    cell: str
    run: str
    prompts: str
    guidance: float
    n: int
    all: Obedience
    held_out: Obedience
    """Asked for a digit in the corner that no training saw it in."""
    seen_corners: Obedience
    """Asked for the other corners of thickness and slant."""
    thickness: Following
    """Pixels."""
    slant: Following
    """Degrees."""
    real: dict[str, dict[str, float]]
    """The same means of real test digits."""
    samples_sha256: Digest
    classifier_sha256: Digest


class SeamsReport(Sourced):
    """reports/seams/<cell>.json: the edge between the drawn and the real half of digits."""

    cell: str
    run: str
    inpaint: Literal["left", "right", "upper", "lower"]
    """The half that was drawn."""
    guidance: float
    n: int
    drawn: list[float]
    """Mean step of brightness across the edge, in [0, 1], of each image,"""
    real: list[float]
    """and of the digit that its other half is of."""
    samples_sha256: Digest


class ClipReport(Strict):
    """reports/clip.json: text and image encoder on the test digits, asked what they never were."""

    n: int
    digit_by_word: float
    """Share whose digit is named by the nearest of ten captions, "a handwritten seven"."""
    digit_by_numeral: float
    """The same of "7"."""
    thickness_of_three: float
    slant_of_three: float
    """Share whose nearest of three captions is that of their level, such as "a thin digit"."""
    thickness_of_two: float
    slant_of_two: float
    """Of digits off the middle level: thin against thick, left against right."""
    auc: float
    """How often a caption is nearer to a digit that it is true of than to one that it is not."""
    held_out: int
    """Test digits in a corner that was held out."""
    held_out_of_four: float
    """Share of these whose nearest of the four corners of their digit is theirs."""
    clip_sha256: Digest
