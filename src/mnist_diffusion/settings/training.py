"""The sections on training denoisers: `networks`, `train`, `runs`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mnist_diffusion.settings.section import (
    Finite,
    Fraction,
    Name,
    NonNegative,
    Positive,
    Rate,
    Section,
)

LOG_SNR_DENSITIES = ("laplace", "logit-normal")
NEARLY_PURE_NOISE = ("cosine", "rectified-flow")
"""Schedules whose last SNR is so small that an error of epsilon there is millions of one of x0."""
PIXELS = "prepared"
LATENTS = "latents/"


class UNetSettings(Section):
    """networks.unet.UNet"""

    channels: Annotated[list[Positive], Field(min_length=1)]
    blocks: Positive
    patch: Positive
    embedding: Positive
    heads: Positive

    @model_validator(mode="after")
    def _check_shapes(self) -> UNetSettings:
        if any(width % 8 for width in self.channels):
            raise ValueError(f"channels: not all of {self.channels} are multiples of 8; use such")
        if self.channels[-1] % self.heads:
            raise ValueError(f"heads: {self.heads} does not divide {self.channels[-1]}; use one")
        if self.embedding % 2:
            raise ValueError(f"embedding: {self.embedding} is odd; use an even number")
        halvings = len(self.channels) - 1
        if 28 % self.patch or (28 // self.patch) % 2**halvings:
            raise ValueError(
                f"patch: 28 pixels do not fold by {self.patch} and halve {halvings} times; "
                "use patch 1, 2 or 4, and fewer channels"
            )
        return self


class SimpleSettings(Section):
    """networks.simple.SimpleDenoiser, the source's own network"""

    embedding: Positive


class Networks(Section):
    """The denoisers that a run can name."""

    unet: UNetSettings
    simple: SimpleSettings


class Recipe(Section):
    """How a network is trained; `runs` name one."""

    optimizer: Literal["adam", "muon"]
    learning_rate: Rate
    """Adam's; Muon leaves embeddings, norms and the outer layers to Adam."""
    muon_learning_rate: Rate | None
    decay: Literal["constant", "cosine"]
    warmup: Fraction
    """Share of the steps over which the learning rate rises from 0."""
    gradient_clip: Rate | None
    steps: Positive
    batch_size: Positive
    parts: Positive
    """Into which a batch is divided, for as many threads at the most; other numbers round
    differently."""
    ema: Fraction
    """Decay per step of the averaged weights, warmed up; 0 samples from the last weights."""

    @model_validator(mode="after")
    def _check_parts(self) -> Recipe:
        if self.batch_size % self.parts:
            raise ValueError(
                f"parts: {self.batch_size} images are not {self.parts} equal parts; "
                f"give a divisor of {self.batch_size}"
            )
        return self

    @model_validator(mode="after")
    def _check_muon(self) -> Recipe:
        if (self.optimizer == "muon") != (self.muon_learning_rate is not None):
            raise ValueError(
                "muon_learning_rate: belongs to optimizer muon; set it there and null elsewhere"
            )
        return self


class Parameterless(Section):
    """A choice without parameters."""


class P2(Section):
    """eps-MSE / (k + SNR)^gamma"""

    k: Rate
    gamma: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    unit_mean: bool
    """Divide by the mean over all timesteps, so that the loss keeps its size."""


class MinSNR(Section):
    """x0-MSE · min(SNR, gamma)"""

    gamma: Rate
    unit_mean: bool
    """Divide by the mean over all timesteps, so that the loss keeps its size."""


class Weightings(Section):
    """The parameters of each weighting; `runs` name one."""

    epsilon: Parameterless
    x0: Parameterless
    v: Parameterless
    p2: P2
    min_snr: MinSNR = Field(alias="min-snr")


class Importance(Section):
    """diffusion.timesteps.SecondMoment"""

    history: Positive
    """Losses remembered per timestep; until all have as many, draws are uniform."""
    uniform_share: Annotated[float, Field(gt=0, le=1)]


class LaplaceDensity(Section):
    """exp(-|log-SNR - location| / scale)"""

    location: Finite
    scale: Rate


class LogitNormalDensity(Section):
    """logit(t) normal, with t the time of the rectified flow: log-SNR is -2 logit(t)"""

    mean: Finite
    deviation: Rate


class TimestepSamplings(Section):
    """The parameters of each way to draw timesteps; `runs` name one."""

    uniform: Parameterless
    stratified: Parameterless
    importance: Importance
    laplace: LaplaceDensity
    logit_normal: LogitNormalDensity = Field(alias="logit-normal")


class TrainShared(Section):
    """What no run chooses."""

    timesteps: Annotated[int, Field(gt=20)]
    """T: with 20 or fewer the last beta of the linear schedule, 20 / T, would reach 1."""
    label_dropout: Fraction
    log_every: Positive
    snapshots: Positive
    """How often the averaged weights are kept along the way, the last time at its end."""


class Train(TrainShared):
    """What all runs share, and what they choose from."""

    weightings: Weightings
    timestep_samplings: TimestepSamplings
    recipes: dict[Name, Recipe]


class Run(Section):
    """One trained denoiser."""

    schedule: Literal["linear", "cosine", "quadratic", "rectified-flow"]
    zero_terminal_snr: bool
    """Rescale the schedule so that no signal at all is left at its last timestep."""
    space: str
    """The folder of data/ that is trained on: prepared for pixels, or latents/CODEC."""
    conditioning: Literal["uncond", "class", "text"]
    asked: Literal["data/prepared", "models/clip"]
    """Where what is asked for comes from: labels, or the encoders of text."""
    network: Literal["unet", "simple"]
    recipe: Name
    prediction: Literal["epsilon", "x0", "v"]
    """How the network's output is read."""
    weighting: Literal["epsilon", "x0", "v", "p2", "min-snr"]
    """What is minimised: the mean squared error of this, or of epsilon, reweighted."""
    timestep_sampling: Literal["uniform", "stratified", "importance", "laplace", "logit-normal"]
    """The last two are densities over log-SNR, and weight the loss by how often they draw."""
    seed: NonNegative

    @property
    def codec(self) -> str | None:
        """The codec in whose latent space it is; None of one in pixels."""
        return self.space.removeprefix(LATENTS) if self.space.startswith(LATENTS) else None

    @model_validator(mode="after")
    def _check_fit(self) -> Run:
        if self.space != PIXELS and not self.codec:
            raise ValueError(
                f"space: there is no {self.space!r:.60}; set {PIXELS}, which is pixels, or "
                f"{LATENTS}CODEC"
            )
        if self.network == "simple" and self.conditioning != "uncond":
            raise ValueError("conditioning: the source's network is asked for nothing; set uncond")
        if (self.conditioning == "text") != (self.asked == "models/clip"):
            due = "models/clip" if self.conditioning == "text" else "data/prepared"
            raise ValueError(f"asked: {self.asked} is not for {self.conditioning}; set {due}")
        if self.zero_terminal_snr and self.prediction == "epsilon":
            raise ValueError(
                "prediction: epsilon tells nothing of the image at zero SNR; set v or x0"
            )
        if self.zero_terminal_snr and self.weighting not in ("v", "x0"):
            raise ValueError(
                f"weighting: {self.weighting} gives no weight to zero SNR, where sampling starts; "
                "set v or x0"
            )
        if self.zero_terminal_snr and self.timestep_sampling in LOG_SNR_DENSITIES:
            raise ValueError(
                f"timestep_sampling: {self.timestep_sampling} never draws zero SNR, where sampling "
                "starts; set stratified"
            )
        nearly_pure = self.schedule in NEARLY_PURE_NOISE
        if self.prediction == "epsilon" and self.weighting in ("v", "x0") and nearly_pure:
            raise ValueError(
                f"weighting: {self.weighting} on an output read as epsilon is all the noisiest "
                f"timestep's under {self.schedule}; set epsilon, p2 or min-snr, prediction v or "
                "x0, or schedule linear"
            )
        return self
