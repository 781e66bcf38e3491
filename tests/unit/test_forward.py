"""The closed form against the chain it stands for."""

import pytest
import torch

from mnist_diffusion.diffusion.forward import add_noise, add_noise_step
from mnist_diffusion.diffusion.predictions import PREDICTIONS, to_epsilon
from mnist_diffusion.diffusion.schedules import SCHEDULES
from mnist_diffusion.diffusion.weightings import WEIGHTINGS


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("t", [9, 99])
def test_closed_form_has_the_moments_of_the_chain(name: str, t: int) -> None:
    """The mean and variance of q(x_t | x_0), carried exactly through t + 1 links of the chain."""
    schedule = SCHEDULES[name](100)
    mean, variance = torch.tensor(0.7).double(), torch.tensor(0.0).double()
    for beta in schedule.betas[: t + 1]:
        mean = add_noise_step(mean, torch.zeros(()), beta)
        link = add_noise_step(torch.zeros(()).double(), torch.ones(()).double(), beta)
        variance = (1 - beta) * variance + link**2
    at = schedule.level(t)
    zero, one = torch.zeros(()).double(), torch.ones(()).double()
    torch.testing.assert_close(add_noise(0.7 * one, zero, at), mean)
    torch.testing.assert_close(add_noise(zero, one, at) ** 2, variance)


def test_iterated_chain_agrees_in_distribution() -> None:
    schedule = SCHEDULES["cosine"](50)
    generator = torch.Generator().manual_seed(0)
    count = 200_000
    x = torch.full((count,), 0.5, dtype=torch.float64)
    for beta in schedule.betas[:25]:
        x = add_noise_step(x, torch.randn(count, generator=generator, dtype=torch.float64), beta)
    at = schedule.level(24)
    assert float(x.mean()) == pytest.approx(0.5 * float(at.alpha), abs=4 / count**0.5)
    assert float(x.std()) == pytest.approx(float(at.sigma), rel=0.01)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("t", [0, 500, 998])
def test_predictions_invert(prediction: str, t: int) -> None:
    generator = torch.Generator().manual_seed(1)
    x0, noise = torch.randn(2, 3, 1, 4, 4, generator=generator, dtype=torch.float64)
    at = SCHEDULES["linear"](1000).level(t)
    x_t = add_noise(x0, noise, at)
    output = PREDICTIONS[prediction].target(x0, noise, at)
    torch.testing.assert_close(PREDICTIONS[prediction].to_x0(output, x_t, at), x0)
    torch.testing.assert_close(to_epsilon(x0, x_t, at), noise)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_epsilon_factor_turns_output_errors_into_epsilon_errors(prediction: str) -> None:
    """The equal-loss identity: eps-MSE = SNR · x0-MSE = SNR / (1 + SNR) · v-MSE."""
    generator = torch.Generator().manual_seed(2)
    x0, noise, error = torch.randn(3, 2, 1, 4, 4, generator=generator, dtype=torch.float64)
    at = SCHEDULES["cosine"](1000).level(400)
    x_t = add_noise(x0, noise, at)
    reading = PREDICTIONS[prediction]
    wrong = reading.to_x0(reading.target(x0, noise, at) + error, x_t, at)
    epsilon_error = to_epsilon(wrong, x_t, at) - noise
    torch.testing.assert_close(epsilon_error.abs(), (reading.epsilon_factor(at) * error).abs())


def test_weighting_v_is_the_mse_of_v() -> None:
    at = SCHEDULES["linear"](1000).level(torch.arange(1000))
    factor = PREDICTIONS["v"].epsilon_factor(at) ** 2 * WEIGHTINGS["v"](at)
    torch.testing.assert_close(factor, torch.ones(1000, dtype=torch.float64))
