"""Schedules, predictions and weightings: what holds at every level of every schedule."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    close,
    images,
    noise_levels,
    per_image,
    schedules,
    seeds,
)

from mnist_diffusion.diffusion.forward import add_noise
from mnist_diffusion.diffusion.predictions import PREDICTIONS, to_epsilon
from mnist_diffusion.diffusion.schedules import CLEAN, SCHEDULES, Level, Schedule, zero_terminal_snr
from mnist_diffusion.diffusion.weightings import WEIGHTINGS, weighting


class TestSchedules:
    @pytest.mark.parametrize("name", SCHEDULES)
    @given(count=st.integers(20, 1000))
    def test_log_snr_falls_strictly(self, name: str, count: int) -> None:
        schedule = SCHEDULES[name](count)
        for chain in (schedule, zero_terminal_snr(schedule)):
            half_log_snr = chain.level(torch.arange(count)).half_log_snr
            assert bool((half_log_snr.diff() < 0).all())
            assert not bool(half_log_snr.isnan().any())

    @given(schedule=schedules(), seed=seeds, data=st.data())
    def test_x_t_has_the_moments_that_the_betas_give(
        self, schedule: Schedule, seed: int, data: st.DataObject
    ) -> None:
        """From the product of 1 - beta, and over 4,000 draws to 5 standard errors."""
        t = data.draw(st.integers(CLEAN, schedule.timesteps - 1))
        alpha_bar = float(np.prod(1 - schedule.betas.numpy()[: t + 1]))
        at, count = schedule.level(t), 4000
        one, zero = torch.ones(()).double(), torch.zeros(()).double()
        assert float(add_noise(one, zero, at)) ** 2 == pytest.approx(alpha_bar, abs=1e-12)
        assert float(add_noise(zero, one, at)) ** 2 == pytest.approx(1 - alpha_bar, abs=1e-12)
        noise = torch.randn(
            count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
        )
        x = add_noise(0.7 * torch.ones(count).double(), noise, at)
        spread = (1 - alpha_bar) ** 0.5
        error = 5 * spread / count**0.5 + 1e-12
        assert float(x.mean()) == pytest.approx(0.7 * alpha_bar**0.5, abs=error)
        assert float(x.std()) == pytest.approx(spread, abs=error)


class TestPredictions:
    @pytest.mark.parametrize("name", PREDICTIONS)
    @given(at=noise_levels(terminal=False), seed=seeds)
    def test_are_inverses_at_all_levels(self, name: str, at: Level, seed: int) -> None:
        x0, noise, output = images(seed, 3)
        x_t, reading = add_noise(x0, noise, at), PREDICTIONS[name]
        # epsilon divides by alpha, which takes digits with it.
        tolerance = 1e-13 / float(at.alpha) + 1e-13 / float(at.sigma)
        close(reading.to_x0(reading.target(x0, noise, at), x_t, at), x0, tolerance)
        implied = reading.to_x0(output, x_t, at)
        again = reading.target(implied, to_epsilon(implied, x_t, at), at)
        close(again, output, 10 * tolerance)

    @pytest.mark.parametrize("name", ["x0", "v"])
    @given(schedule=schedules(terminal=True), seed=seeds)
    def test_x0_and_v_are_inverses_where_no_signal_is_left(
        self, name: str, schedule: Schedule, seed: int
    ) -> None:
        x0, noise = images(seed, 2)
        at, reading = schedule.level(schedule.timesteps - 1), PREDICTIONS[name]
        target = reading.target(x0, noise, at)
        close(reading.to_x0(target, add_noise(x0, noise, at), at), x0)

    @given(at=noise_levels(), seed=seeds)
    def test_targets_are_what_their_names_say(self, at: Level, seed: int) -> None:
        x0, noise = images(seed, 2)
        velocity = at.alpha * noise - at.sigma * x0
        wanted = {"epsilon": noise, "x0": x0, "v": velocity}
        for name, target in wanted.items():
            close(PREDICTIONS[name].target(x0, noise, at), target)


class TestLosses:
    @pytest.mark.parametrize("name", PREDICTIONS)
    @given(at=noise_levels(terminal=False), seed=seeds)
    def test_one_error_is_as_good_as_another(self, name: str, at: Level, seed: int) -> None:
        """eps-MSE = SNR · x0-MSE = SNR / (1 + SNR) · v-MSE, and velocity_factor leads to v's."""
        x0, noise, error = images(seed, 3)
        x_t, reading = add_noise(x0, noise, at), PREDICTIONS[name]
        wrong = reading.to_x0(reading.target(x0, noise, at) + error, x_t, at)
        wrong_noise = to_epsilon(wrong, x_t, at)
        x0_loss, epsilon_loss = per_image(wrong - x0), per_image(wrong_noise - noise)
        v_loss = per_image(at.alpha * (wrong_noise - noise) - at.sigma * (wrong - x0))
        snr = float(at.alpha**2 / at.sigma**2)
        torch.testing.assert_close(epsilon_loss, snr * x0_loss, rtol=1e-6, atol=0)
        torch.testing.assert_close(epsilon_loss, snr / (1 + snr) * v_loss, rtol=1e-6, atol=0)
        factor = reading.velocity_factor(at) ** 2
        torch.testing.assert_close(factor * per_image(error), v_loss, rtol=1e-6, atol=0)

    @given(
        at=noise_levels(terminal=False), k=st.floats(0.1, 3), gamma=st.floats(0.1, 8), seed=seeds
    )
    def test_weightings_are_losses_of_their_papers(
        self, at: Level, k: float, gamma: float, seed: int
    ) -> None:
        x0, noise, wrong = images(seed, 3)
        x_t = add_noise(x0, noise, at)
        wrong_noise = to_epsilon(wrong, x_t, at)
        x0_loss, epsilon_loss = per_image(wrong - x0), per_image(wrong_noise - noise)
        v_loss = per_image(at.alpha * (wrong_noise - noise) - at.sigma * (wrong - x0))
        snr = float(at.alpha**2 / at.sigma**2)
        losses = {
            "epsilon": epsilon_loss,
            "x0": x0_loss,
            "v": v_loss,
            "p2": epsilon_loss / (k + snr) ** gamma,
            "min-snr": x0_loss * min(snr, gamma),
        }
        assert losses.keys() == WEIGHTINGS.keys()
        for name, expected in losses.items():
            found = WEIGHTINGS[name](at, **_parameters(name, k, gamma)) * v_loss
            torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)

    @pytest.mark.parametrize("name", WEIGHTINGS)
    @given(schedule=schedules(), k=st.floats(0.1, 3), gamma=st.floats(0.1, 8))
    def test_unit_mean_is_a_mean_of_one(
        self, name: str, schedule: Schedule, k: float, gamma: float
    ) -> None:
        """As a factor on eps-MSE, over every timestep at which eps-MSE says anything."""
        parameters = _parameters(name, k, gamma)
        every = schedule.level(torch.arange(schedule.timesteps))
        unit = weighting(name, schedule, unit_mean=True, **parameters)(every)
        plain = weighting(name, schedule, **parameters)(every)
        signal = every.alpha > 0
        assert float((unit / every.alpha**2)[signal].mean()) == pytest.approx(1, rel=1e-9)
        torch.testing.assert_close(unit * plain[0], plain * unit[0])


def _parameters(name: str, k: float, gamma: float) -> dict[str, float]:
    return {"p2": {"k": k, "gamma": gamma}, "min-snr": {"gamma": gamma}}.get(name, {})
