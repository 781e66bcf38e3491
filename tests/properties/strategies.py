"""What the properties are drawn from: schedules, levels, walks of samplers, images."""

import torch
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from torch import Tensor

from mnist_diffusion.diffusion.schedules import SCHEDULES, Level, Schedule, zero_terminal_snr
from mnist_diffusion.diffusion.spacings import SPACINGS, levels

SHAPE = (3, 1, 2, 2)
STOCHASTIC = ["ddpm", "ddpm-large", "ddim"]
seeds = st.integers(0, 2**32)
timesteps = st.integers(20, 200)
guidance_scales = st.floats(-2, 8).filter(lambda scale: scale not in (0, 1))


@st.composite
def schedules(draw: DrawFn, terminal: bool | None = None) -> Schedule:
    """Any schedule of any length; with or without signal at the end, or either where None."""
    # At T = 20 the last beta of linear and quadratic is 1: no signal is left, though not asked for.
    schedule = SCHEDULES[draw(st.sampled_from(sorted(SCHEDULES)))](draw(st.integers(21, 200)))
    wanted = draw(st.booleans()) if terminal is None else terminal
    return zero_terminal_snr(schedule) if wanted else schedule


@st.composite
def noise_levels(draw: DrawFn, terminal: bool | None = None) -> Level:
    """Any level of any schedule, from the cleanest noisy one to the last."""
    schedule = draw(schedules(terminal))
    return schedule.level(draw(st.integers(0, schedule.timesteps - 1)))


@st.composite
def walks(draw: DrawFn) -> list[Level]:
    """The levels of a sampler: any schedule, spacing and number of steps."""
    schedule = draw(schedules())
    steps = draw(st.integers(1, schedule.timesteps))
    return levels(schedule, steps, draw(st.sampled_from(sorted(SPACINGS))))


def images(seed: int, count: int = 1) -> Tensor:
    """`count` different batches; (count, *SHAPE), float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, *SHAPE, generator=generator, dtype=torch.float64)


def per_image(values: Tensor) -> Tensor:
    return values.square().mean(dim=(1, 2, 3))


class Counted:
    """A denoiser that says the same whatever it is asked, and counts how often it is."""

    def __init__(self, x0: Tensor):
        self.x0, self.calls = x0, 0

    def __call__(self, x: Tensor, at: Level) -> Tensor:
        self.calls += 1
        return self.x0


def close(found: Tensor, expected: Tensor, tolerance: float = 1e-10) -> None:
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
