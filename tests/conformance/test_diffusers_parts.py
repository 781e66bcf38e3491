"""The parts that samplers and losses are made of, against diffusers' own, in float64."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.guiders.guider_utils import rescale_noise_cfg
from diffusers.schedulers import scheduling_ddpm
from torch import Tensor

from mnist_diffusion.diffusion.bounds import X0_BOUNDS
from mnist_diffusion.diffusion.forward import add_noise, posterior_mean, posterior_std, step_beta
from mnist_diffusion.diffusion.guidance import guided, rescaled
from mnist_diffusion.diffusion.predictions import PREDICTIONS
from mnist_diffusion.diffusion.schedules import SCHEDULES, Level, Schedule, zero_terminal_snr
from mnist_diffusion.diffusion.spacings import levels
from mnist_diffusion.diffusion.weightings import weighting

SHAPE = (6, 1, 4, 4)
BETAS = {
    "linear": {"beta_schedule": "linear"},
    "quadratic": {"beta_schedule": "scaled_linear"},
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
}


@pytest.fixture(autouse=True)
def exact_diffusers(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = SimpleNamespace(**vars(torch) | {"float32": torch.float64})
    monkeypatch.setattr(scheduling_ddpm, "torch", exact)


@pytest.fixture(params=SCHEDULES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def schedule(name: str) -> Schedule:
    return SCHEDULES[name](1000)


def scheduler_of(schedule: Schedule, **options: Any) -> DDPMScheduler:
    return DDPMScheduler(trained_betas=schedule.betas.numpy(), clip_sample=False, **options)


def images(seed: int, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(SHAPE, generator=generator, dtype=torch.float64)


def batch_of_levels(schedule: Schedule) -> tuple[Tensor, Level]:
    t = torch.tensor([0, 1, 20, 500, 998, 999])
    at = schedule.level(t)
    return t, Level(t, at.alpha.view(-1, 1, 1, 1), at.sigma.view(-1, 1, 1, 1))


def assert_near(mine: Tensor, other: Tensor, atol: float = 1e-13) -> None:
    torch.testing.assert_close(mine, other, rtol=1e-10, atol=atol)


@pytest.mark.parametrize("name", BETAS)
def test_schedules_are_those_of_diffusers_under_other_names(name: str) -> None:
    assert_near(SCHEDULES[name](1000).betas, DDPMScheduler(**BETAS[name]).betas)


def test_zero_terminal_snr(schedule: Schedule) -> None:
    other = scheduling_ddpm.rescale_zero_terminal_snr(schedule.betas.clone())
    assert_near(zero_terminal_snr(schedule).betas, other)


def test_noise_is_added_alike_and_v_is_the_same(schedule: Schedule) -> None:
    scheduler, (t, at) = scheduler_of(schedule), batch_of_levels(schedule)
    x0, noise = images(1), images(2)
    assert_near(add_noise(x0, noise, at), scheduler.add_noise(x0, noise, t))
    assert_near(PREDICTIONS["v"].target(x0, noise, at), scheduler.get_velocity(x0, noise, t))


@pytest.mark.parametrize("steps", [7, 20, 1000])
def test_posterior(schedule: Schedule, steps: int) -> None:
    scheduler = scheduler_of(schedule, prediction_type="sample")
    path = levels(schedule, steps, "trailing")
    scheduler.set_timesteps(timesteps=[int(at.t) for at in path[:-1]])
    x0, x = images(1), images(2)
    for k in {0, 1, steps // 2, steps - 2}:
        noisy, cleaner = path[k : k + 2]
        t = int(noisy.t)
        variance = scheduler._get_variance(t, variance_type="fixed_small")
        assert_near(posterior_std(noisy, cleaner) ** 2, variance)
        large = scheduler._get_variance(t, variance_type="fixed_large")
        assert_near(step_beta(noisy, cleaner), large)
        noise = torch.randn(SHAPE, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
        drawn = scheduler.step(x0, t, x, generator=torch.Generator().manual_seed(4)).prev_sample
        mean = drawn - variance.sqrt() * noise
        assert_near(posterior_mean(x0, x, noisy, cleaner), mean, atol=1e-11)


@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.995, 1.0])
@pytest.mark.parametrize("scale", [0.2, 1.0, 4.0])
def test_bounds_are_thresholding_without_and_with_a_limit_of_1(
    scale: float, quantile: float
) -> None:
    x0 = images(1, scale)
    for bound, limit in {"dynamic": float("inf"), "clip": 1.0}.items():
        scheduler = DDPMScheduler(dynamic_thresholding_ratio=quantile, sample_max_value=limit)
        assert_near(X0_BOUNDS[bound](x0, quantile), scheduler._threshold_sample(x0))


@pytest.mark.parametrize("phi", [0.0, 0.3, 0.7, 1.0])
def test_rescaled_guidance(schedule: Schedule, phi: float) -> None:
    """One formula, on what it is given: diffusers gives it the network's output, here it is x0.

    For plain guidance that is the same; for the rescaled it is another strength at the same phi.
    """
    conditional, unconditional = images(1), images(2)
    cfg = unconditional + 3 * (conditional - unconditional)
    other = rescale_noise_cfg(cfg, conditional, phi)
    assert_near(rescaled(cfg, conditional, phi), other)
    denoise = guided(lambda x, at: conditional, lambda x, at: unconditional, 3, rescale=phi)
    assert_near(denoise(images(3), schedule.level(500)), other)


def test_weightings_as_factors_on_what_the_network_puts_out(schedule: Schedule) -> None:
    """Min-SNR and P2 as their papers state them, for each output (Hang et al. 2023, table 1)."""
    every = schedule.level(torch.arange(1000))
    snr = schedule.alphas_bar / (1 - schedule.alphas_bar)
    capped = snr.clamp(max=5)
    published = {
        ("min-snr", "epsilon"): capped / snr,
        ("min-snr", "x0"): capped,
        ("min-snr", "v"): capped / (snr + 1),
        ("p2", "epsilon"): (1 + snr) ** -0.5,
        ("epsilon", "epsilon"): torch.ones_like(snr),
        ("epsilon", "x0"): snr,
        ("x0", "x0"): torch.ones_like(snr),
        ("x0", "epsilon"): 1 / snr,
        ("x0", "v"): 1 / (snr + 1),
        ("v", "v"): torch.ones_like(snr),
        ("v", "x0"): snr + 1,
    }
    parameters = {"min-snr": {"gamma": 5.0}, "p2": {"k": 1.0, "gamma": 0.5}}
    for (kind, output), factor in published.items():
        on_v = weighting(kind, schedule, **parameters.get(kind, {}))(every)
        assert_near(on_v * PREDICTIONS[output].velocity_factor(every) ** 2, factor)
