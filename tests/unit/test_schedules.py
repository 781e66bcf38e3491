"""Schedules against the values that their papers' formulas give, computed elsewhere by hand."""

import pytest
import torch
from torch import Tensor

from mnist_diffusion.diffusion.schedules import (
    SCHEDULES,
    Schedule,
    linear,
    zero_terminal_snr,
)

# alpha_bar at both ends and half-log-SNR at T, for T = 1000: plain-Python arithmetic, 2026-11-22.
PUBLISHED = {
    "linear": (0.999900, 4.036e-5, -5.059, 0.259),
    "quadratic": (0.999900, 7.334e-4, -3.609, 0.418),
    "cosine": (0.999959, 2.429e-9, -9.918, 0.496),
    "rectified-flow": (0.99999975, 2.5025e-7, -7.600, 0.4995),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_ends_match_published_values(name: str) -> None:
    first, last, half_log_snr, crossing = PUBLISHED[name]
    schedule = SCHEDULES[name](1000)
    assert float(schedule.alphas_bar[0]) == pytest.approx(first, abs=1e-6)
    assert float(schedule.alphas_bar[-1]) == pytest.approx(last, rel=1e-3)
    assert float(schedule.level(999).half_log_snr) == pytest.approx(half_log_snr, abs=2e-3)
    assert schedule.card()["t_where_snr_is_1"] == pytest.approx(crossing * 1000, abs=1.5)


@pytest.mark.parametrize("name", ["linear", "quadratic"])
@pytest.mark.parametrize("timesteps", [100, 400])
def test_fewer_timesteps_end_as_noisy(name: str, timesteps: int) -> None:
    """Unscaled betas would leave alpha_bar_T = .36 at T = 100: a known bug of other codes."""
    short, full = SCHEDULES[name](timesteps), SCHEDULES[name](1000)
    ratio = short.alphas_bar[-1].log() / full.alphas_bar[-1].log()
    assert float(ratio) == pytest.approx(1, abs=0.08)


def test_a_card_tells_schedules_apart() -> None:
    card = SCHEDULES["linear"](1000).card()
    assert zero_terminal_snr(SCHEDULES["linear"](1000)).card()["log_snr_min"] is None
    assert card["log_snr_max"] == pytest.approx(9.2102, abs=1e-4)
    assert card["log_snr_min"] == pytest.approx(2 * -5.059, abs=4e-3)
    assert card["alpha_bar_last"] == pytest.approx(4.036e-5, rel=1e-3)


@pytest.mark.parametrize(
    "betas",
    [
        torch.tensor([1.0, 0.1]).double(),
        torch.tensor([0.1, 1.1]).double(),
        torch.tensor([0.0, 0.1]).double(),
        torch.tensor([0.1]),
    ],
)
def test_unusable_betas_are_refused(betas: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="beta"):
        Schedule(betas)


@pytest.mark.parametrize("t", [-2, 1000, torch.tensor([3, 1000])])
def test_a_timestep_beyond_the_ends_is_an_error(t: int | Tensor) -> None:
    with pytest.raises(IndexError, match="timesteps are -1 to 999"):
        linear(1000).level(t)
