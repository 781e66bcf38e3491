"""Which timesteps a sampler visits: always as many as asked for, from noise to image."""

from itertools import pairwise

import pytest

from mnist_diffusion.diffusion.schedules import SCHEDULES, zero_terminal_snr
from mnist_diffusion.diffusion.spacings import SPACINGS, levels

COSINE = SCHEDULES["cosine"](1000)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 7, 13, 20, 33, 250, 999, 1000])
def test_as_many_different_timesteps_as_asked_for(spacing: str, schedule: str, steps: int) -> None:
    for of in (SCHEDULES[schedule](1000), zero_terminal_snr(SCHEDULES[schedule](1000))):
        visited = SPACINGS[spacing](of, steps)
        assert len(visited) == steps
        assert all(later < earlier for earlier, later in pairwise(visited))
        assert visited[0] <= 999
        assert visited[-1] >= 0
        assert visited[0] == 999 or spacing == "leading"


def test_known_timesteps() -> None:
    """Lin et al. 2024, table 2, less 1: they count from 1."""
    wanted = {
        "leading": [800, 600, 400, 200, 0],
        "linspace": [999, 749, 500, 250, 0],
        "trailing": [999, 799, 599, 399, 199],
    }
    for spacing, timesteps in wanted.items():
        assert SPACINGS[spacing](COSINE, 5) == timesteps


def test_log_snr_steps_are_even() -> None:
    path = levels(SCHEDULES["linear"](1000), 6, "log-snr")[:-1]
    gaps = [float(b.half_log_snr - a.half_log_snr) for a, b in pairwise(path)]
    whole = float(path[-1].half_log_snr - path[0].half_log_snr)
    assert gaps == pytest.approx([whole / 5] * 5, rel=0.05)


def test_levels_end_clean() -> None:
    path = levels(COSINE, 20, "trailing")
    assert len(path) == 21
    assert (int(path[-1].t), float(path[-1].sigma)) == (-1, 0)


@pytest.mark.parametrize("steps", [0, 1001])
def test_impossible_step_counts_are_refused(steps: int) -> None:
    with pytest.raises(ValueError, match="steps"):
        levels(COSINE, steps, "trailing")
