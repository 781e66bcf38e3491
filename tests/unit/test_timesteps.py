"""Which timesteps training draws and sampling visits."""

import pytest
import torch
from scipy.stats import chisquare

from mnist_diffusion.diffusion.schedules import SCHEDULES
from mnist_diffusion.diffusion.timesteps import TIMESTEP_SAMPLERS, levels, stratified, trailing


@pytest.mark.parametrize("name", TIMESTEP_SAMPLERS)
def test_every_timestep_is_equally_likely(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    draws = torch.cat([TIMESTEP_SAMPLERS[name](64, 50, generator) for _ in range(4000)])
    counts = torch.bincount(draws, minlength=50)
    assert len(counts) == 50
    assert chisquare(counts.numpy()).pvalue > 1e-3


def test_stratified_batches_cover_all_slices() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        t = stratified(10, 1000, generator)
        assert (t // 100).tolist() == list(range(10))


@pytest.mark.parametrize("steps", [1, 7, 13, 20, 33, 250, 1000])
def test_trailing_starts_at_the_noise(steps: int) -> None:
    visited = trailing(1000, steps)
    assert len(visited) == steps == len(set(visited))
    assert visited == sorted(visited, reverse=True)
    assert visited[0] == 999
    assert visited[-1] >= 0


def test_levels_end_clean() -> None:
    path = levels(SCHEDULES["cosine"](1000), 20)
    assert len(path) == 21
    assert (int(path[-1].t), float(path[-1].sigma)) == (-1, 0)


@pytest.mark.parametrize("steps", [0, 1001])
def test_impossible_step_counts_are_refused(steps: int) -> None:
    with pytest.raises(ValueError, match="steps"):
        levels(SCHEDULES["cosine"](1000), steps)
