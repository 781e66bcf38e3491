"""Spacings and samplers: what holds for every walk from noise to image."""

from itertools import pairwise

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import (
    SHAPE,
    STOCHASTIC,
    close,
    images,
    schedules,
    seeds,
    walks,
)
from torch import Tensor

from mnist_diffusion.diffusion.bounds import bounded
from mnist_diffusion.diffusion.forward import add_noise, posterior_std
from mnist_diffusion.diffusion.guidance import Denoiser
from mnist_diffusion.diffusion.samplers import SAMPLERS
from mnist_diffusion.diffusion.schedules import CLEAN, SCHEDULES, Level, Schedule, zero_terminal_snr
from mnist_diffusion.diffusion.spacings import SPACINGS, levels
from mnist_diffusion.runtime.seeds import PerImageNoise


class TestSpacings:
    @pytest.mark.parametrize("spacing", SPACINGS)
    @given(data=st.data(), name=st.sampled_from(sorted(SCHEDULES)), terminal=st.booleans())
    def test_visit_as_many_timesteps_as_there_are_steps(
        self, spacing: str, data: st.DataObject, name: str, terminal: bool
    ) -> None:
        schedule = SCHEDULES[name](data.draw(st.integers(20, 300), label="T"))
        schedule = zero_terminal_snr(schedule) if terminal else schedule
        steps = data.draw(st.integers(1, schedule.timesteps), label="steps")
        visited = SPACINGS[spacing](schedule, steps)
        assert len(visited) == steps
        assert all(earlier > later for earlier, later in pairwise(visited))
        assert visited[-1] >= 0 and visited[0] < schedule.timesteps
        if spacing == "leading":
            assert visited[-1] == 0
        else:
            assert visited[0] == schedule.timesteps - 1
        if spacing == "linspace" and steps > 1:
            assert visited[-1] == 0

    @pytest.mark.parametrize("spacing", SPACINGS)
    @given(schedule=schedules())
    def test_all_steps_are_all_timesteps(self, spacing: str, schedule: Schedule) -> None:
        count = schedule.timesteps
        assert SPACINGS[spacing](schedule, count) == list(reversed(range(count)))

    @given(schedule=schedules(terminal=False), steps=st.integers(2, 8))
    def test_log_snr_steps_are_as_even_as_timesteps_allow(
        self, schedule: Schedule, steps: int
    ) -> None:
        """Each the nearest there is, unless two of them would be the same."""
        visited = SPACINGS["log-snr"](schedule, steps)
        half_log_snr = schedule.level(torch.arange(schedule.timesteps)).half_log_snr
        ends = float(half_log_snr[-1]), float(half_log_snr[0])
        wanted = torch.linspace(*ends, steps, dtype=torch.float64)
        nearest = (half_log_snr[:, None] - wanted).abs().min(dim=0).values
        found = (half_log_snr[visited] - wanted).abs()
        distinct = {int((half_log_snr - at).abs().argmin()) for at in wanted}
        assume(len(distinct) == steps)
        close(found, nearest)

    @given(walk=walks())
    def test_levels_end_clean(self, walk: list[Level]) -> None:
        assert (int(walk[-1].t), float(walk[-1].alpha), float(walk[-1].sigma)) == (CLEAN, 1, 0)
        assert all(bool(here.sigma > there.sigma) for here, there in pairwise(walk))


class TestSamplers:
    @pytest.mark.parametrize("spacing", SPACINGS)
    @pytest.mark.parametrize("sampler", SAMPLERS)
    @given(data=st.data(), schedule=schedules(), seed=seeds, eta=st.sampled_from([0.0, 0.4, 1.0]))
    def test_recover_a_single_point_exactly(
        self,
        sampler: str,
        spacing: str,
        data: st.DataObject,
        schedule: Schedule,
        seed: int,
        eta: float,
    ) -> None:
        """Where the denoiser knows the image, no step adds an error: nor do the states between.

        Without noise of their own, samplers keep the noise of the start in the share that the
        level asks for; the ancestral ones replace it, so that only the signal is checked.
        """
        steps = data.draw(st.integers(1, min(schedule.timesteps, 40)), label="steps")
        path = levels(schedule, steps, spacing)
        point, noise = images(seed, 2)
        keeps_noise = sampler not in ("ddpm", "ddpm-large", "consistency")
        noise = noise if keeps_noise else torch.zeros(SHAPE).double()
        eta = 0.0 if keeps_noise else eta
        x = add_noise(point, noise, path[0])
        found = SAMPLERS[sampler](lambda x, at: point, x, path, lambda: torch.zeros(SHAPE), eta)
        for (state, x0), at in zip(found, path[1:], strict=True):
            close(state, add_noise(point, noise, at))
            assert torch.equal(x0, point)
        # 1 - alpha_bar has lost as many digits as the last level has little noise.
        close(state, point, 1e-12 + 1e-15 / float(path[-2].sigma) ** 2)

    @given(walk=walks(), seed=seeds)
    def test_consistency_draws_each_level_anew(self, walk: list[Level], seed: int) -> None:
        """From any state: the clean image that was seen, in fresh noise as strong as its level."""
        start, point, noise = images(seed, 3)
        found = SAMPLERS["consistency"](lambda x, at: point + at.t, start, walk, lambda: noise, 1.0)
        for (state, x0), (here, there) in zip(found, pairwise(walk), strict=True):
            assert torch.equal(x0, point + here.t)
            close(state, add_noise(x0, noise, there) if there.sigma > 0 else x0)

    @pytest.mark.parametrize("sampler", STOCHASTIC)
    @given(walk=walks(), eta=st.floats(0, 1), data=st.data())
    def test_add_eta_times_the_ancestral_noise(
        self, sampler: str, walk: list[Level], eta: float, data: st.DataObject
    ) -> None:
        """And none at the last step; DDIM takes as much from the direction as it adds."""
        step = data.draw(st.integers(0, len(walk) - 2), label="step")
        here, there = walk[step : step + 2]
        point, none, one = torch.zeros(3, *SHAPE).double()
        one = one + 1

        def after(x: Tensor, noise: Tensor) -> Tensor:
            (state, _), *_ = SAMPLERS[sampler](
                lambda x, at: point, x, [here, there], lambda: noise, eta
            )
            return state

        added = float(after(none, one).flatten()[0])
        beta = 1 - float(here.alpha / there.alpha) ** 2
        large = beta**0.5 if there.sigma > 0 else 0.0
        small = float(there.sigma / here.sigma) * beta**0.5
        assert added == pytest.approx(eta * (large if sampler == "ddpm-large" else small))
        assert float(posterior_std(here, there)) == pytest.approx(small)
        kept = float(after(one * here.sigma, none).flatten()[0])
        if sampler == "ddim":
            assert kept**2 + added**2 == pytest.approx(float(there.sigma) ** 2, abs=1e-12)

    @pytest.mark.parametrize("sampler", SAMPLERS)
    @given(
        schedule=schedules(),
        spacing=st.sampled_from(sorted(SPACINGS)),
        steps=st.integers(1, 12),
        order=st.permutations(range(4)),
        seed=seeds,
    )
    def test_permuting_images_permutes_results(
        self,
        sampler: str,
        schedule: Schedule,
        spacing: str,
        steps: int,
        order: list[int],
        seed: int,
    ) -> None:
        """Image k has its own noise, and nothing of its neighbours in the batch."""
        path = levels(schedule, steps, spacing)

        def draw(indices: list[int]) -> Tensor:
            start = PerImageNoise(seed, "start", indices, SHAPE[1:])().double()
            noise = PerImageNoise(seed, "steps", indices, SHAPE[1:])
            denoise: Denoiser = bounded(
                lambda x, at: 1.5 * x / (1 + x.square().sum(dim=(1, 2, 3), keepdim=True)),
                "dynamic",
                0.8,
            )
            *_, (end, _) = SAMPLERS[sampler](denoise, start, path, noise, 1.0)
            return end

        close(draw(order), draw([0, 1, 2, 3])[order], 1e-12)
