"""Which timesteps a sampler visits: always as many as asked for, from noise to image."""

import pytest

from mnist_diffusion.diffusion.schedules import SCHEDULES
from mnist_diffusion.diffusion.spacings import SPACINGS, levels

COSINE = SCHEDULES["cosine"](1000)


def test_known_timesteps() -> None:
    """Lin et al. 2024, table 2, less 1: they count from 1."""
    wanted = {
        "leading": [800, 600, 400, 200, 0],
        "linspace": [999, 749, 500, 250, 0],
        "trailing": [999, 799, 599, 399, 199],
    }
    for spacing, timesteps in wanted.items():
        assert SPACINGS[spacing](COSINE, 5) == timesteps


@pytest.mark.parametrize("steps", [0, 1001])
def test_impossible_step_counts_are_refused(steps: int) -> None:
    with pytest.raises(ValueError, match="steps"):
        levels(COSINE, steps, "trailing")
