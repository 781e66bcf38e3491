"""Our samplers, step for step, against diffusers' at matching settings.

Left out by name: diffusers' DDIM with `linspace` spacing, whose stride is wrong (diffusers #12633).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler
from torch import Tensor

from mnist_diffusion.diffusion.predictions import to_epsilon
from mnist_diffusion.diffusion.samplers import SAMPLERS
from mnist_diffusion.diffusion.schedules import SCHEDULES, Level, Schedule
from mnist_diffusion.diffusion.timesteps import levels

SHAPE = (2, 1, 4, 4)
TIMESTEPS = 1000


def teacher(x: Tensor, t: int) -> Tensor:
    """A stand-in for a network: smooth, nonlinear, and different at every timestep."""
    return torch.sin(3 * x + 0.01 * t) * 0.8 + 0.1 * x


def ours(name: str, schedule: Schedule, x: Tensor, steps: int, eta: float) -> Iterator[Tensor]:
    def denoise(x: Tensor, at: Level) -> Tensor:
        return teacher(x, int(at.t))

    noises = iter(noise_stream(steps))
    path = levels(schedule, steps)
    for state, _ in SAMPLERS[name](denoise, x, path, lambda: next(noises), eta):
        yield state


def noise_stream(steps: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(5)
    return list(torch.randn(steps, *SHAPE, generator=generator, dtype=torch.float64))


def theirs(
    scheduler: Any, schedule: Schedule, x: Tensor, steps: int, **options: Any
) -> Iterator[Tensor]:
    # diffusers keeps float32 tables; the comparison is of formulas, so they are made exact.
    scheduler.betas = schedule.betas
    scheduler.alphas = 1 - schedule.betas
    scheduler.alphas_cumprod = schedule.alphas_bar
    scheduler.final_alpha_cumprod = torch.tensor(1.0, dtype=torch.float64)
    scheduler.one = torch.tensor(1.0, dtype=torch.float64)
    scheduler.set_timesteps(steps)
    if hasattr(scheduler, "sigmas"):
        odds = (1 - schedule.alphas_bar) / schedule.alphas_bar
        visited = odds.sqrt()[scheduler.timesteps]
        scheduler.sigmas = torch.cat([visited, torch.zeros(1, dtype=torch.float64)])
    noises = noise_stream(steps)
    for k, t in enumerate(scheduler.timesteps.tolist()):
        at = schedule.level(t)
        epsilon = to_epsilon(teacher(x, t), x, at)
        arguments = {key: choose(noises[k]) for key, choose in options.items()}
        x = scheduler.step(epsilon, t, x, **arguments).prev_sample
        yield x


def common(schedule: Schedule) -> dict[str, Any]:
    return {
        "num_train_timesteps": TIMESTEPS,
        "trained_betas": schedule.betas.numpy().astype(np.float64),
        "timestep_spacing": "trailing",
        "prediction_type": "epsilon",
    }


def start() -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def assert_same(mine: Iterator[Tensor], other: Iterator[Tensor], steps: int, rtol: float) -> None:
    pairs = list(zip(mine, other, strict=True))
    assert len(pairs) == steps
    for a, b in pairs:
        torch.testing.assert_close(a, b, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [5, 8, 10, 20, 50])
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim(name: str, steps: int, eta: float) -> None:
    """Only N that divide T: for others diffusers steps to t - T // N, beside its own next t."""
    schedule = SCHEDULES[name](TIMESTEPS)
    scheduler = DDIMScheduler(**common(schedule), clip_sample=False)
    other = theirs(
        scheduler,
        schedule,
        start(),
        steps,
        eta=lambda _: eta,
        variance_noise=lambda z: z if eta > 0 else None,
    )
    assert_same(ours("ddim", schedule, start(), steps, eta), other, steps, 1e-9)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [5, 20, 250])
def test_ddpm(name: str, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """diffusers clamps its variance at 1e-20, which no schedule here reaches before the end."""
    schedule = SCHEDULES[name](TIMESTEPS)
    scheduler = DDPMScheduler(**common(schedule), clip_sample=False, variance_type="fixed_small")
    noises = iter(noise_stream(steps))
    monkeypatch.setattr(
        "diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *_, **__: next(noises)
    )
    other = theirs(scheduler, schedule, start(), steps)
    assert_same(ours("ddpm", schedule, start(), steps, 1.0), other, steps, 1e-9)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [5, 7, 13, 20, 33])
def test_dpm_solver(name: str, steps: int) -> None:
    """Midpoint 2M with a first-order last step into sigma = 0, diffusers' default.

    diffusers casts the state to float32 inside the step, hence the tolerance.
    """
    schedule = SCHEDULES[name](TIMESTEPS)
    scheduler = DPMSolverMultistepScheduler(**common(schedule))
    other = theirs(scheduler, schedule, start(), steps)
    assert_same(ours("dpm-solver", schedule, start(), steps, 0.0), other, steps, 1e-5)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_point_mass_is_recovered(sampler: str, name: str) -> None:
    target = torch.linspace(-1, 1, 16, dtype=torch.float64).view(1, 1, 4, 4)
    path = levels(SCHEDULES[name](TIMESTEPS), 10)
    eta = 1.0 if sampler == "ddpm" else 0.0
    noise = iter(noise_stream(10))
    walk = SAMPLERS[sampler]
    *_, (x, _) = walk(lambda x, _: target.expand_as(x), start(), path, lambda: next(noise), eta)
    torch.testing.assert_close(x, target.expand_as(x))
