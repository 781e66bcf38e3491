"""Which timesteps a training batch sees."""

from collections.abc import Callable
from functools import partial
from typing import Protocol

import torch
from torch import Generator, Tensor

from mnist_diffusion.diffusion.schedules import Schedule


class TimestepSampler(Protocol):
    """Draws timesteps, may learn from the losses they had, and can be put aside and resumed."""

    def draw(self, count: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """Timesteps in [0, T), (count,) int64, and the loss weights, float64, that undo their bias.

        The weighted mean of any function of t is, in expectation, its mean over all timesteps; only
        of a `LogSNRDensity` it is the mean over that density.
        """
        ...

    def observe(self, t: Tensor, losses: Tensor) -> None:
        """Take note of the loss that each drawn timestep had; both (count,)."""
        ...

    def state(self) -> dict[str, Tensor]:
        """All that has been learned, to be kept beside the weights."""
        ...

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from a `state`."""
        ...


class Memoryless:
    """A sampler that learns nothing from losses."""

    def __init__(self, schedule: Schedule):
        self.timesteps = schedule.timesteps

    def observe(self, t: Tensor, losses: Tensor) -> None:
        """Nothing is learned."""

    def state(self) -> dict[str, Tensor]:
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """There is nothing to restore."""


class Uniform(Memoryless):
    """Independent draws, every timestep as likely as any other (Ho et al. 2020, algorithm 1)."""

    def draw(self, count: int, generator: Generator) -> tuple[Tensor, Tensor]:
        t = torch.randint(self.timesteps, (count,), generator=generator)
        return t, torch.ones(count, dtype=torch.float64)


class Stratified(Memoryless):
    """One draw from each of `count` equal slices of 0 … T-1, so that a batch covers them all.

    Every timestep stays equally likely; only the variance of the batch's loss falls
    (Kingma et al. 2021, appendix I.1). They come in the order of the slices: batches are shuffled,
    so the order carries nothing.
    """

    def draw(self, count: int, generator: Generator) -> tuple[Tensor, Tensor]:
        t = (_strata(count, generator) * self.timesteps).long().clamp(max=self.timesteps - 1)
        return t, torch.ones(count, dtype=torch.float64)


def laplace(log_snr: Tensor, *, location: float, scale: float) -> Tensor:
    """Share of exp(-|lambda - location| / scale) above a log-SNR (Hang et al. 2025)."""
    below = (location - log_snr) / scale
    return (1 - below.sign() * torch.expm1(-below.abs())) / 2


def logit_normal(log_snr: Tensor, *, mean: float, deviation: float) -> Tensor:
    """Share above a log-SNR where logit(t) is normal (Esser et al. 2024).

    Their t is that of the rectified flow, on which log-SNR is -2 logit(t).
    """
    return torch.special.ndtr((-log_snr / 2 - mean) / deviation)


class LogSNRDensity(Memoryless):
    """Draws by a density over log-SNR, whatever the schedule, and does not undo it.

    The expected loss is the mean over the density, not over timesteps: a weighting by draws instead
    of factors, as the papers have it (Hang et al. 2025, section 2; Esser et al. 2024, section 3.1).
    A timestep has the mass between the midpoints to its neighbours; what lies beyond the schedule
    falls to its ends. Batches cover the density's quantiles as `Stratified` covers timesteps.
    """

    def __init__(self, above: Callable[..., Tensor], schedule: Schedule, **parameters: float):
        super().__init__(schedule)
        log_snr = 2 * schedule.level(torch.arange(schedule.timesteps)).half_log_snr
        self._cleaner = above((log_snr[:-1] + log_snr[1:]) / 2, **parameters)

    def draw(self, count: int, generator: Generator) -> tuple[Tensor, Tensor]:
        t = torch.searchsorted(self._cleaner, _strata(count, generator), right=True)
        return t, torch.ones(count, dtype=torch.float64)


class SecondMoment:
    """Importance sampling by the root mean square of each timestep's last losses.

    p(t) ∝ sqrt(E[L_t²]), mixed with a little of the uniform, weighted by 1 / (T · p), which keeps
    the expected loss (Nichol & Dhariwal 2021, eq. 18). Uniform until every timestep has been seen
    `history` times.
    """

    def __init__(self, schedule: Schedule, *, history: int, uniform_share: float):
        self.timesteps = schedule.timesteps
        self._uniform_share = uniform_share
        self._losses = torch.zeros(self.timesteps, history, dtype=torch.float64)
        self._seen = torch.zeros(self.timesteps, dtype=torch.int64)

    def probabilities(self) -> Tensor:
        """How likely each timestep is at the next draw; (T,) float64."""
        history = self._losses.shape[1]
        if bool((self._seen < history).any()):
            return torch.full((self.timesteps,), 1 / self.timesteps, dtype=torch.float64)
        moment = self._losses.square().mean(dim=1).sqrt()
        share = self._uniform_share
        return (1 - share) * moment / moment.sum() + share / self.timesteps

    def draw(self, count: int, generator: Generator) -> tuple[Tensor, Tensor]:
        likely = self.probabilities()
        t = torch.multinomial(likely, count, replacement=True, generator=generator)
        return t, 1 / (self.timesteps * likely[t])

    def observe(self, t: Tensor, losses: Tensor) -> None:
        for step, loss in zip(t.tolist(), losses.tolist(), strict=True):
            # A ring: the mean over the last losses does not ask for their order.
            self._losses[step, self._seen[step] % self._losses.shape[1]] = loss
            self._seen[step] += 1

    def state(self) -> dict[str, Tensor]:
        return {"losses": self._losses.clone(), "seen": self._seen.clone()}

    def restore(self, state: dict[str, Tensor]) -> None:
        self._losses.copy_(state["losses"])
        self._seen.copy_(state["seen"])


def _strata(count: int, generator: Generator) -> Tensor:
    """Positions in [0, 1), one in each of `count` equal slices, all at one offset; (count,)."""
    offset = torch.rand(1, generator=generator, dtype=torch.float64)
    return (torch.arange(count, dtype=torch.float64) + offset) / count


TIMESTEP_SAMPLERS: dict[str, Callable[..., TimestepSampler]] = {
    "uniform": Uniform,
    "stratified": Stratified,
    "importance": SecondMoment,
    "laplace": partial(LogSNRDensity, laplace),
    "logit-normal": partial(LogSNRDensity, logit_normal),
}
