"""The closed form against the chain it stands for."""

import pytest
import torch

from mnist_diffusion.diffusion.forward import add_noise, add_noise_step
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
