"""The rectified-flow schedule against diffusers' flow matching, in float64.

Their state is (1 - t)·x0 + t·eps and their network's output eps - x0; ours is the same state at the
scale at which signal and noise have unit variance together.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.schedulers import scheduling_flow_match_euler_discrete as flow_matching
from torch import Tensor

from mnist_diffusion.diffusion.forward import add_noise
from mnist_diffusion.diffusion.samplers import SAMPLERS
from mnist_diffusion.diffusion.schedules import SCHEDULES, Level
from mnist_diffusion.diffusion.spacings import SPACINGS, levels

SHAPE = (2, 1, 4, 4)


@pytest.fixture(autouse=True)
def exact_diffusers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, library in (("torch", torch), ("np", np)):
        exact = SimpleNamespace(**vars(library) | {"float32": library.float64})
        monkeypatch.setattr(flow_matching, name, exact)


def straight_time(at: Level, timesteps: int) -> float:
    """Their t of one of our levels: the middle of its slice, and 0 for the clean image."""
    return (int(at.t) + 0.5) / timesteps if at.t >= 0 else 0.0


def spread(time: float) -> float:
    """Their scale over ours."""
    return float(np.hypot(1 - time, time))


def believed(x: Tensor, time: float) -> Tensor:
    """A network's clean image, of the state at our scale."""
    return torch.sin(3 * x + 7 * time) * 0.8 + 0.4 * x


def images(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(SHAPE, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("timesteps", [30, 1000])
def test_noise_is_added_alike(timesteps: int) -> None:
    scheduler, schedule = (
        FlowMatchEulerDiscreteScheduler(num_train_timesteps=timesteps),
        SCHEDULES["rectified-flow"](timesteps),
    )
    x0, noise = images(1), images(2)
    for t in (0, 1, timesteps // 2, timesteps - 1):
        time = straight_time(schedule.level(t), timesteps)
        scheduler.set_timesteps(sigmas=[time])
        theirs = scheduler.scale_noise(x0, scheduler.timesteps, noise)
        mine = spread(time) * add_noise(x0, noise, schedule.level(t))
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 7, 20, 50])
@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_step_of_ddim_is_an_euler_step_of_the_flow(spacing: str, steps: int) -> None:
    path = levels(SCHEDULES["rectified-flow"](1000), steps, spacing)
    times = [straight_time(at, 1000) for at in path]
    scheduler = FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(sigmas=times[:-1])
    time_of = dict(zip((int(at.t) for at in path), times, strict=True))
    mine = SAMPLERS["ddim"](
        lambda x, at: believed(x, time_of[int(at.t)]), images(3), path, torch.Tensor, 0.0
    )
    x = spread(times[0]) * images(3)
    whole = zip(mine, scheduler.timesteps, times[:-1], times[1:], strict=True)
    for (state, _), t, here, there in whole:
        velocity = (x - believed(x / spread(here), here)) / here
        x = scheduler.step(velocity, t, x).prev_sample
        torch.testing.assert_close(spread(there) * state, x, rtol=1e-8, atol=1e-9)
