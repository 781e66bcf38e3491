"""Our samplers, step for step, against diffusers' own code, in float64.

In diffusers' modules the name float32 is made to mean float64, and noise comes from a given stream.
Every scheduler is told its timesteps, so that odd step counts and all spacings compare, also where
its own way from one timestep to the next is wrong: test_diffusers_corners names those corners, and
the overrides below refer to them.
"""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain, pairwise, repeat
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    DPMSolverSinglestepScheduler,
)
from diffusers.schedulers import (
    scheduling_ddim,
    scheduling_ddpm,
    scheduling_dpmsolver_multistep,
    scheduling_dpmsolver_singlestep,
)
from torch import Tensor

from mnist_diffusion.diffusion.bounds import X0_BOUNDS, bounded
from mnist_diffusion.diffusion.predictions import PREDICTIONS
from mnist_diffusion.diffusion.samplers import SAMPLERS
from mnist_diffusion.diffusion.schedules import SCHEDULES, Level, Schedule, zero_terminal_snr
from mnist_diffusion.diffusion.spacings import SPACINGS, levels

SHAPE = (2, 1, 4, 4)
TOLERANCE = 1e-10
QUANTILE = 0.9

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


class StridingDDIMScheduler(DDIMScheduler):
    """Steps to the next of its timesteps: its T // num_inference_steps is made to be that stride.

    Alone it strides by T // N, whatever its timesteps (the corner `ddim-stride`).
    """

    def set_timesteps(self, *, timesteps: list[int]) -> None:
        self.following = dict(pairwise([*timesteps, -1]))

    def step(self, model_output: Tensor, timestep: int, sample: Tensor, **options: Any) -> Any:
        stride = timestep - self.following[timestep]
        self.num_inference_steps = Fraction(self.config.num_train_timesteps, stride)
        return super().step(model_output, timestep, sample, **options)


class WholeCurveDPMSolver(DPMSolverMultistepScheduler):
    """Order 3 with all of its curve: alone it has half, and order 2 (the corner `dpm-3-curve`)."""

    def multistep_dpm_solver_third_order_update(
        self, model_output_list: list[Tensor], *args: Any, **options: Any
    ) -> Tensor:
        half = super().multistep_dpm_solver_third_order_update(model_output_list, *args, **options)
        at = [
            self._sigma_to_alpha_sigma_t(self.sigmas[self.step_index + k]) for k in (1, 0, -1, -2)
        ]
        there, now, before, long_before = (torch.log(a) - torch.log(s) for a, s in at)
        h = there - now
        r0, r1 = (now - before) / h, (before - long_before) / h
        x0_2, x0_1, x0 = model_output_list[-3:]
        curve = ((x0 - x0_1) / r0 - (x0_1 - x0_2) / r1) / (r0 + r1)
        return half + at[0][0] * (0.5 - (torch.expm1(-h) + h) / h**2) * curve


SCHEDULERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "ddpm": (DDPMScheduler, {"variance_type": "fixed_small"}),
    "ddpm-large": (DDPMScheduler, {"variance_type": "fixed_large"}),
    "ddim": (StridingDDIMScheduler, {}),
    # lower_order_final would also lower the last step but one, of fewer than 15.
    "dpm-solver-1": (DPMSolverMultistepScheduler, {"solver_order": 1, "lower_order_final": False}),
    "dpm-solver-2": (DPMSolverMultistepScheduler, {"solver_order": 2, "lower_order_final": False}),
    "dpm-solver-3": (WholeCurveDPMSolver, {"solver_order": 3, "lower_order_final": False}),
    # The midpoint form with its middle moved to the end of the step: see `evaluations`.
    "heun": (DPMSolverSinglestepScheduler, {"solver_order": 2, "lower_order_final": True}),
}
PREDICTION_TYPES = {"epsilon": "epsilon", "x0": "sample", "v": "v_prediction"}
ETAS = {"ddpm": [0.5, 1.0], "ddpm-large": [1.0], "ddim": [0.0, 0.5, 1.0]}
CASES = [(name, eta) for name in SCHEDULERS for eta in ETAS.get(name, [0.0])]


def float64_of(library: ModuleType) -> SimpleNamespace:
    return SimpleNamespace(**vars(library) | {"float32": library.float64})


EXACT_TORCH, EXACT_NUMPY = float64_of(torch), float64_of(np)


@pytest.fixture(autouse=True)
def exact_diffusers(monkeypatch: pytest.MonkeyPatch) -> None:
    """diffusers in float64 (the corner `dpm-float32`), its noise drawn from a given stream."""
    for module in (
        scheduling_ddim,
        scheduling_ddpm,
        scheduling_dpmsolver_multistep,
        scheduling_dpmsolver_singlestep,
    ):
        monkeypatch.setattr(module, "torch", EXACT_TORCH)
        monkeypatch.setattr(module, "np", EXACT_NUMPY)
        monkeypatch.setattr(
            module, "randn_tensor", lambda *_, generator, **__: next(generator), raising=False
        )


def network(x: Tensor, t: int) -> Tensor:
    """Smooth, nonlinear, different at every timestep, and at times beyond what pixels have."""
    return torch.sin(3 * x + 0.01 * t) * 0.8 + 0.4 * x


def start() -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def noises(steps: int) -> Iterator[Tensor]:
    """One for each step but the last, where ours draws none."""
    generator = torch.Generator().manual_seed(5)
    return iter(torch.randn(steps - 1, *SHAPE, generator=generator, dtype=torch.float64))


def noises_and_zeros(steps: int) -> Iterator[Tensor]:
    """The same for diffusers, which draws at the last as well (the corners `ddpm-…-last-noise`)."""
    return chain(noises(steps), repeat(torch.zeros(SHAPE, dtype=torch.float64)))


def ours(
    name: str, path: list[Level], prediction: str, eta: float, bound: str = "none"
) -> Iterator[tuple[Tensor, Tensor]]:
    def denoise(x: Tensor, at: Level) -> Tensor:
        return PREDICTIONS[prediction].to_x0(network(x, int(at.t)), x, at)

    stream = noises(len(path) - 1)
    held = bounded(denoise, bound, QUANTILE)
    return iter(SAMPLERS[name](held, start(), path, lambda: next(stream), eta))


def theirs(
    name: str,
    schedule: Schedule,
    path: list[Level],
    prediction: str,
    eta: float,
    bound: str = "none",
    **options: Any,
) -> list[tuple[Tensor, Tensor | None]]:
    """(x, x0) after each step; x0 is None where diffusers does not tell it."""
    cls, own = SCHEDULERS[name]
    scheduler = cls(
        num_train_timesteps=schedule.timesteps,
        trained_betas=schedule.betas.numpy(),
        prediction_type=PREDICTION_TYPES[prediction],
        **own,
        **bound_options(name, bound),
        **options,
    )
    timesteps = evaluations(name, path)
    scheduler.set_timesteps(timesteps=timesteps)
    stream = noises_and_zeros(len(path) - 1)
    how: dict[str, Any] = {"generator": (eta * noise for noise in stream)}  # DDPM knows no eta
    if name == "ddim":  # the corner `ddim-clipped-epsilon`
        how = {"generator": stream, "eta": eta, "use_clipped_model_output": bound != "none"}
    x, states = start(), []
    for t in timesteps:
        output = scheduler.step(network(x, t), t, x, **how)
        x = output.prev_sample
        states.append((x, getattr(output, "pred_original_sample", None)))
    return [*states[1::2], states[-1]] if name == "heun" else states


def evaluations(name: str, path: list[Level]) -> list[int]:
    """The timesteps at which the network is asked; Heun's method asks at both ends of a step."""
    visited = [int(at.t) for at in path[:-1]]
    return [t for t in visited for _ in range(2)][1:] if name == "heun" else visited


def bound_options(name: str, bound: str) -> dict[str, Any]:
    """The DPM-Solvers clip by thresholding with a limit of 1 (the corner `threshold-limit`)."""
    clips_by_itself = name in ETAS
    options: dict[str, Any] = {"clip_sample": bound == "clip"} if clips_by_itself else {}
    if bound == "dynamic" or (bound == "clip" and not clips_by_itself):
        limit = {"clip": 1.0, "dynamic": float("inf")}[bound]
        options |= {"thresholding": True, "sample_max_value": limit}
        options |= {"dynamic_thresholding_ratio": QUANTILE}
    return options


def assert_same(
    mine: Iterable[tuple[Tensor, Tensor]],
    other: list[tuple[Tensor, Tensor | None]],
    path: list[Level],
) -> None:
    """To TOLERANCE, or the digits that 1 - alpha_bar still has at the cleanest level of a path."""
    tolerance = max(TOLERANCE, 2e-15 / float(path[-2].sigma) ** 2)
    mine = list(mine)
    assert len(mine) == len(other)
    told = [step for step, (_, x0) in enumerate(other) if x0 is not None]
    assert_near([x for x, _ in mine], [x for x, _ in other], tolerance)
    assert_near([mine[step][1] for step in told], [other[step][1] for step in told], tolerance)


def assert_near(mine: list[Tensor], other: list[Tensor], tolerance: float) -> None:
    """Each tensor, relative to its largest element."""
    if other:
        a, b = torch.stack(mine).flatten(1), torch.stack(other).flatten(1)
        errors = (a - b).abs().amax(dim=1) / b.abs().amax(dim=1)
        assert bool((errors <= tolerance).all()), f"at each of {len(other)} steps: {errors}"


@pytest.mark.parametrize("spacing", ["trailing", "leading", "linspace"])
@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize(("sampler", "eta"), CASES)
def test_steps(sampler: str, eta: float, name: str, prediction: str, spacing: str) -> None:
    schedule = SCHEDULES[name](1000)
    for steps in [7, 10, 13, 20, 33]:
        path = levels(schedule, steps, spacing)
        other = theirs(sampler, schedule, path, prediction, eta)
        assert_same(ours(sampler, path, prediction, eta), other, path)


@pytest.mark.parametrize(("prediction", "spacing"), [("epsilon", "trailing"), ("v", "log-snr")])
@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize(("sampler", "eta"), CASES)
def test_few_steps_and_many(
    sampler: str, eta: float, name: str, prediction: str, spacing: str
) -> None:
    schedule = SCHEDULES[name](1000)
    for steps in [1, 2, 3, 50, 61]:
        path = levels(schedule, steps, spacing)
        other = theirs(sampler, schedule, path, prediction, eta)
        assert_same(ours(sampler, path, prediction, eta), other, path)


@pytest.mark.parametrize("bound", sorted(X0_BOUNDS.keys() - {"none"}))
@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize(("sampler", "eta"), CASES)
def test_steps_with_a_bounded_x0(
    sampler: str, eta: float, name: str, prediction: str, bound: str
) -> None:
    schedule = SCHEDULES[name](1000)
    path = levels(schedule, 13, "trailing")
    other = theirs(sampler, schedule, path, prediction, eta, bound)
    assert_same(ours(sampler, path, prediction, eta, bound), other, path)


@pytest.mark.parametrize("spacing", sorted(SPACINGS.keys() - {"leading"}))
@pytest.mark.parametrize("prediction", ["x0", "v"])
@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize(("sampler", "eta"), sorted(set(CASES) - {("heun", 0.0), ("ddim", 1.0)}))
def test_steps_from_no_signal_at_all(
    sampler: str, eta: float, name: str, prediction: str, spacing: str
) -> None:
    """Left out: heun, for its counterpart has no such option, and the corner `ddim-zero-snr`."""
    schedule = SCHEDULES[name](1000)
    path = levels(zero_terminal_snr(schedule), 13, spacing)
    if sampler.startswith("dpm"):  # the corner `dpm-zero-snr`
        path[0] = Level(path[0].t, *torch.tensor([2**-24, 1 - 2**-24], dtype=torch.float64).sqrt())
    other = theirs(sampler, schedule, path, prediction, eta, rescale_betas_zero_snr=True)
    assert_same(ours(sampler, path, prediction, eta), other, path)


@pytest.mark.parametrize("timesteps", [60, 250])
@pytest.mark.parametrize(("sampler", "eta"), CASES)
def test_steps_at_every_timestep(sampler: str, eta: float, timesteps: int) -> None:
    schedule = SCHEDULES["cosine"](timesteps)
    path = levels(schedule, timesteps, "trailing")
    assert_same(ours(sampler, path, "v", eta), theirs(sampler, schedule, path, "v", eta), path)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize(("sampler", "eta"), CASES)
def test_a_point_mass_is_recovered(sampler: str, eta: float, name: str, spacing: str) -> None:
    """Whatever the way there, one believed image is the end of it."""
    target = torch.linspace(-1, 1, 16, dtype=torch.float64).view(1, 1, 4, 4)
    path = levels(SCHEDULES[name](1000), 10, spacing)
    noise = noises(10)
    walk = SAMPLERS[sampler]
    *_, (x, _) = walk(lambda x, _: target.expand_as(x), start(), path, lambda: next(noise), eta)
    torch.testing.assert_close(x, target.expand_as(x))
