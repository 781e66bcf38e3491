"""Where diffusers 0.42.1 is wrong or means something else: each corner by name, and seen to be so.

A failure here says that upstream has changed: then the corner goes, and with it the override that
test_samplers makes for it.
"""

from collections.abc import Callable
from fractions import Fraction
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler
from diffusers.schedulers import scheduling_dpmsolver_multistep
from torch import Tensor

from mnist_diffusion.diffusion.schedules import SCHEDULES
from mnist_diffusion.diffusion.spacings import SPACINGS

ONES = torch.ones(2, 1, 4, 4, dtype=torch.float64)
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def timesteps_of(scheduler: Any, steps: int) -> list[int]:
    scheduler.set_timesteps(steps)
    return scheduler.timesteps.tolist()


def ddim_goes_where_it_says(spacing: str, steps: int) -> bool:
    """A step from a noiseless image of ones shows the alpha that it leads to."""
    scheduler = DDIMScheduler(prediction_type="sample", timestep_spacing=spacing, clip_sample=False)
    alphas = scheduler.alphas_cumprod.double().sqrt()
    timesteps = timesteps_of(scheduler, steps)
    reached = [
        float(scheduler.step(ONES, t, alphas[t] * ONES).prev_sample.max()) for t in timesteps
    ]
    return reached == pytest.approx([*alphas[timesteps[1:]].tolist(), 1.0], abs=1e-6)


def ddim_strides_beside_its_timesteps() -> bool:
    cases = [("trailing", 7), ("trailing", 33), ("linspace", 10), ("linspace", 13)]
    return not any(ddim_goes_where_it_says(*case) for case in cases)


def noise_of_the_last_ddpm_step(variance_type: str) -> float:
    """The deviation of what a black image becomes, at the last of 50 trailing steps: t = 19."""
    scheduler = DDPMScheduler(
        prediction_type="sample", timestep_spacing="trailing", variance_type=variance_type
    )
    t = timesteps_of(scheduler, 50)[-1]
    black = torch.zeros(100, 1, 8, 8, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    return float(scheduler.step(black, t, black, generator=generator).prev_sample.std())


def fixed_large_noises_the_finished_image() -> bool:
    beta = 1 - float(SCHEDULES["linear"](1000).alphas_bar[19])
    return noise_of_the_last_ddpm_step("fixed_large") == pytest.approx(beta**0.5, rel=0.05)


def fixed_small_noises_it_a_little() -> bool:
    return noise_of_the_last_ddpm_step("fixed_small") == pytest.approx(1e-10, rel=0.05)


def ddim_keeps_the_noise_of_the_unclipped_x0() -> bool:
    """A white image without noise, which the network takes for one of twice that white."""
    scheduler = DDIMScheduler(prediction_type="sample", clip_sample=True)
    t = timesteps_of(scheduler, 10)[3]
    white, whither = [scheduler.alphas_cumprod[u].sqrt() * ONES for u in (t, t - 100)]
    default = scheduler.step(2 * ONES, t, white).prev_sample
    clipped = scheduler.step(2 * ONES, t, white, use_clipped_model_output=True).prev_sample
    return torch.allclose(clipped, whither) and bool((default < 0.9 * whither).all())


def full_eta_from_no_signal_takes_a_root_below_zero() -> bool:
    """1 - alpha_bar - std² is 0 there but for rounding, whose sign decides whether it is NaN."""
    ends = []
    for steps in range(2, 101):
        scheduler = DDIMScheduler(
            prediction_type="sample", timestep_spacing="trailing", rescale_betas_zero_snr=True
        )
        t = timesteps_of(scheduler, steps)[0]
        ends.append(scheduler.step(ONES, t, ONES, eta=1.0, variance_noise=ONES).prev_sample)
    return any(end.isnan().any() for end in ends)


def dpm(**options: Any) -> DPMSolverMultistepScheduler:
    return DPMSolverMultistepScheduler(prediction_type="sample", **options)


def dpm_rounds_the_state_to_float32() -> bool:
    def step(x: Tensor) -> Tensor:
        scheduler = dpm()
        t = timesteps_of(scheduler, 10)[0]
        return scheduler.step(ONES, t, x).prev_sample

    return torch.equal(step(ONES), step(ONES * (1 + 1e-9)))


def third_order_takes_half_the_curve() -> bool:
    """Where x0 is lambda², which a parabola meets: the share of the curve that a step takes in."""
    scheduler = dpm(solver_order=3)
    timesteps = timesteps_of(scheduler, 20)
    half_log_snr = -scheduler.sigmas[:-1].double().log()
    before = x = ONES
    for t, now in zip(timesteps[:4], half_log_snr, strict=False):
        before, x = x, scheduler.step(ONES * now**2, t, x).prev_sample
    now, then = half_log_snr[3:5]
    # The integrals of e^l·l² and of e^l·(now² + 2·now·(l - now)), which lacks the curve.
    whole = then.exp() * (then**2 - 2 * then + 2) - now.exp() * (now**2 - 2 * now + 2)
    tangent = then.exp() * (2 * now * then - now**2 - 2 * now) - now.exp() * (now**2 - 2 * now)
    sigmas = [1 / (1 + (2 * level).exp()).sqrt() for level in (now, then)]
    taken = (x - sigmas[1] / sigmas[0] * before) / sigmas[1]
    share = (taken - tangent) / (whole - tangent)
    return float(share.mean()) == pytest.approx(0.5, abs=0.02)


def dpm_starts_from_a_little_signal() -> bool:
    return float(dpm(rescale_betas_zero_snr=True).alphas_cumprod[-1]) == 2**-24


def dpm_spaces_for_one_step_more() -> bool:
    """The steps of N + 1, the last left out: its N steps never end at t = 0."""
    return all(
        timesteps_of(dpm(timestep_spacing=spacing), steps)
        == timesteps_of(DDPMScheduler(timestep_spacing=spacing), steps + 1)[:-1]
        for spacing in ("leading", "linspace")
        for steps in (7, 10, 20, 50)
    )


def even_log_snr_repeats_timesteps() -> bool:
    timesteps = timesteps_of(lu_dpm("cosine"), 20)
    return len(set(timesteps)) < len(timesteps) == 20


def lu_dpm(schedule: str) -> DPMSolverMultistepScheduler:
    return dpm(trained_betas=SCHEDULES[schedule](1000).betas.numpy(), use_lu_lambdas=True)


def thresholding_is_clipping_by_default() -> bool:
    x0 = torch.linspace(-5, 5, 32, dtype=torch.float64).view(2, 1, 4, 4)
    by_default = [DDPMScheduler(thresholding=True), DDIMScheduler(thresholding=True)]
    return all(torch.equal(s._threshold_sample(x0), x0.clamp(-1, 1)) for s in by_default)


def a_timestep_below_0() -> bool:
    return timesteps_of(DDPMScheduler(timestep_spacing="trailing"), 61)[-2:] == [15, -1]


def one_step_from_the_clean_end() -> bool:
    return timesteps_of(DDPMScheduler(timestep_spacing="linspace"), 1) == [0]


class Corner(NamedTuple):
    seen: Callable[[], bool]
    issue: str
    reason: str


UNREPORTED = "no issue found"
KNOWN_WRONG = {
    "ddim-stride": Corner(
        ddim_strides_beside_its_timesteps,
        "#12633, #11347, #9261",
        "DDIM steps to t - T // N: off its own timesteps with linspace, and with trailing if N ∤ T",
    ),
    "ddpm-large-last-noise": Corner(
        fixed_large_noises_the_finished_image,
        UNREPORTED,
        "DDPM draws noise wherever t > 0, so also on the finished image, if the last t is not 0",
    ),
    "ddpm-small-last-noise": Corner(
        fixed_small_noises_it_a_little,
        UNREPORTED,
        "the same with fixed_small: its variance of 0 is clamped to 1e-20",
    ),
    "ddim-clipped-epsilon": Corner(
        ddim_keeps_the_noise_of_the_unclipped_x0,
        "#553, #1069",
        "unless told use_clipped_model_output, x0 is clipped but the noise is not what it implies",
    ),
    "ddim-zero-snr": Corner(
        full_eta_from_no_signal_takes_a_root_below_zero,
        UNREPORTED,
        "from alpha = 0 at eta = 1, the square root of a rounding error: 1e-8, or NaN",
    ),
    "dpm-float32": Corner(
        dpm_rounds_the_state_to_float32,
        "#7097",
        "DPM-Solver casts the state to float32 within the step, whatever its dtype",
    ),
    "dpm-3-curve": Corner(
        third_order_takes_half_the_curve,
        UNREPORTED,
        "order 3 weighs the second difference as if it were the second derivative: order 2 only",
    ),
    "dpm-zero-snr": Corner(
        dpm_starts_from_a_little_signal,
        "#7097",
        "DPM-Solver takes alpha_bar = 2^-24 for 0, as its sigma / alpha would be infinite",
    ),
    "dpm-spacing": Corner(
        dpm_spaces_for_one_step_more,
        "#2969",
        "DPM-Solver's leading and linspace are not those of DDPM and DDIM at the same N",
    ),
    "log-snr-repeats": Corner(
        even_log_snr_repeats_timesteps,
        "#12771",
        "use_lu_lambdas visits a timestep more than once where steps are finer than timesteps",
    ),
    "threshold-limit": Corner(
        thresholding_is_clipping_by_default,
        "#3003",
        "with its default sample_max_value of 1, dynamic thresholding is plain clipping",
    ),
    "trailing-61": Corner(
        a_timestep_below_0,
        UNREPORTED,
        "arange with a rounded stride runs one too far: 62 timesteps for N = 61, the last -1",
    ),
    "linspace-1": Corner(
        one_step_from_the_clean_end,
        UNREPORTED,
        "the only step of linspace is the clean end: t = 0, where pure noise is never met",
    ),
}
OTHER_TIMESTEPS = {"trailing": {61: "trailing-61"}, "leading": {}, "linspace": {1: "linspace-1"}}


@pytest.mark.parametrize("name", KNOWN_WRONG)
def test_the_corner_is_still_there(name: str) -> None:
    corner = KNOWN_WRONG[name]
    assert corner.seen(), f"diffusers has changed ({corner.issue}): {corner.reason}"


@pytest.mark.parametrize("steps", [7, 10, 13, 20, 33, 50])
def test_ddim_alone_strides_well_where_the_spacing_does(steps: int) -> None:
    assert ddim_goes_where_it_says("leading", steps)
    assert ddim_goes_where_it_says("trailing", steps) == (1000 % steps == 0)


@pytest.mark.parametrize("spacing", OTHER_TIMESTEPS)
def test_spacings_are_those_of_diffusers(spacing: str) -> None:
    schedule, scheduler = SCHEDULES["linear"](1000), DDPMScheduler(timestep_spacing=spacing)
    for steps in sorted(set(range(1, 101)) - OTHER_TIMESTEPS[spacing].keys()):
        mine, other = SPACINGS[spacing](schedule, steps), timesteps_of(scheduler, steps)
        for k, (t, u) in enumerate(zip(mine, other, strict=True)):
            assert t == u or (spacing == "linspace" and is_tie(k, steps, {t, u})), f"{k} of {steps}"


def is_tie(place: int, steps: int, both: set[int]) -> bool:
    """Halfway between two timesteps, each is as near as the other, and rounding errors decide."""
    exact = 999 - Fraction(999 * place, steps - 1)
    return {abs(t - exact) for t in both} == {Fraction(1, 2)}


COMPARED = {"linear": 37, "quadratic": 35, "cosine": 7, "rectified-flow": 22}
"""Of the numbers of steps from 2 to 100, those at which diffusers repeats no timestep."""


@pytest.mark.parametrize("name", SCHEDULES)
def test_even_log_snr_is_that_of_diffusers_while_it_repeats_none(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name_there, library in {
        "torch": torch,
        "np": np,
    }.items():  # in float32, which timestep is the nearest is at times chance
        exact = SimpleNamespace(**vars(library) | {"float32": library.float64})
        monkeypatch.setattr(scheduling_dpmsolver_multistep, name_there, exact)
    schedule, scheduler = SCHEDULES[name](1000), lu_dpm(name)
    compared = 0
    for steps in range(2, 101):
        other = timesteps_of(scheduler, steps)
        if len(set(other)) == steps:  # else the corner `log-snr-repeats`
            assert SPACINGS["log-snr"](schedule, steps) == other
            compared += 1
    assert compared == COMPARED[name]
