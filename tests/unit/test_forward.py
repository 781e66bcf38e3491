"""The closed form against the chain it stands for."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mnist_diffusion.diffusion.forward import add_noise, add_noise_step
from mnist_diffusion.diffusion.predictions import PREDICTIONS, to_epsilon
from mnist_diffusion.diffusion.schedules import SCHEDULES, zero_terminal_snr
from mnist_diffusion.diffusion.weightings import weighting


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
def test_velocity_factor_turns_output_errors_into_errors_of_v(prediction: str) -> None:
    """Whatever the output, the error of v that it implies is the factor times its own."""
    generator = torch.Generator().manual_seed(2)
    x0, noise, error = torch.randn(3, 2, 1, 4, 4, generator=generator, dtype=torch.float64)
    at = SCHEDULES["cosine"](1000).level(400)
    x_t = add_noise(x0, noise, at)
    reading = PREDICTIONS[prediction]
    wrong = reading.to_x0(reading.target(x0, noise, at) + error, x_t, at)
    velocity = PREDICTIONS["v"]
    implied = velocity.target(wrong, to_epsilon(wrong, x_t, at), at)
    velocity_error = implied - velocity.target(x0, noise, at)
    torch.testing.assert_close(velocity_error.abs(), (reading.velocity_factor(at) * error).abs())


@pytest.mark.parametrize(
    ("name", "parameters", "factor"),
    [
        ("epsilon", {}, lambda snr: torch.ones_like(snr)),
        ("v", {}, lambda snr: (1 + snr) / snr),
        ("x0", {}, lambda snr: 1 / snr),
        ("p2", {"k": 1.0, "gamma": 1.0}, lambda snr: 1 / (1 + snr)),
        ("p2", {"k": 2.0, "gamma": 0.5}, lambda snr: (2 + snr) ** -0.5),
        ("min-snr", {"gamma": 5.0}, lambda snr: snr.clamp(max=5) / snr),
    ],
)
def test_weightings_are_their_papers_factors_on_epsilon(
    name: str, parameters: dict[str, float], factor: Callable[[Tensor], Tensor]
) -> None:
    """Each by its paper's factor on eps-MSE; ours is one on v-MSE, and eps-MSE = alpha² v-MSE."""
    schedule = SCHEDULES["linear"](1000)
    at = schedule.level(torch.arange(1000))
    snr = schedule.alphas_bar / (1 - schedule.alphas_bar)
    mine = weighting(name, schedule, **parameters)(at) / schedule.alphas_bar
    torch.testing.assert_close(mine, factor(snr), rtol=1e-9, atol=0)


def test_unit_mean_leaves_the_shape_of_a_weighting() -> None:
    schedule = SCHEDULES["cosine"](1000)
    at = schedule.level(torch.arange(1000))
    plain = weighting("p2", schedule, k=1.0, gamma=1.0)(at)
    unit = weighting("p2", schedule, unit_mean=True, k=1.0, gamma=1.0)(at)
    assert float((unit / at.alpha**2).mean()) == pytest.approx(1)
    torch.testing.assert_close(unit / unit[0], plain / plain[0])


def test_only_v_and_x0_weigh_where_there_is_no_signal() -> None:
    """Which is why settings refuse the others on a schedule of zero terminal SNR."""
    schedule = zero_terminal_snr(SCHEDULES["cosine"](1000))
    at = schedule.level(999)
    for name, parameters in (
        ("epsilon", {}),
        ("x0", {}),
        ("v", {}),
        ("p2", {"k": 1.0, "gamma": 1.0, "unit_mean": True}),
        ("min-snr", {"gamma": 5.0}),
    ):
        weight = float(weighting(name, schedule, **parameters)(at))  # type: ignore[arg-type]
        assert weight == (1 if name in ("v", "x0") else 0)
