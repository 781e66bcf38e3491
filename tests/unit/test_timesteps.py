"""Which timesteps training draws, and what the importance sampler makes of their losses."""

import pytest
import torch
from scipy.stats import chisquare

from mnist_diffusion.diffusion.timesteps import (
    TIMESTEP_SAMPLERS,
    SecondMoment,
    Stratified,
    TimestepSampler,
)

PARAMETERS: dict[str, dict[str, float]] = {"importance": {"history": 2, "uniform_share": 0.01}}


def sampler(name: str, timesteps: int) -> TimestepSampler:
    return TIMESTEP_SAMPLERS[name](timesteps, **PARAMETERS.get(name, {}))


def warm(losses: torch.Tensor) -> SecondMoment:
    """An importance sampler that has seen these losses of each timestep, (T, history)."""
    learned = SecondMoment(len(losses), history=losses.shape[1], uniform_share=0.01)
    for column in losses.unbind(dim=1):
        learned.observe(torch.arange(len(losses)), column)
    return learned


@pytest.mark.parametrize("name", TIMESTEP_SAMPLERS)
def test_every_timestep_is_equally_likely_at_first(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    fresh = sampler(name, 50)
    draws = torch.cat([fresh.draw(64, generator)[0] for _ in range(4000)])
    counts = torch.bincount(draws, minlength=50)
    assert len(counts) == 50
    assert chisquare(counts.numpy()).pvalue > 1e-3
    assert torch.equal(fresh.draw(3, generator)[1], torch.ones(3, dtype=torch.float64))


def test_stratified_batches_cover_all_slices() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        t, _ = Stratified(1000).draw(10, generator)
        assert (t // 100).tolist() == list(range(10))


def test_importance_follows_the_root_mean_square_of_the_losses() -> None:
    losses = torch.tensor([[1.0, 1.0], [3.0, 4.0], [0.0, 0.0], [6.0, 8.0]], dtype=torch.float64)
    root_mean_square = torch.tensor([1.0, 12.5**0.5, 0.0, 50**0.5], dtype=torch.float64)
    expected = 0.99 * root_mean_square / root_mean_square.sum() + 0.01 / 4
    torch.testing.assert_close(warm(losses).probabilities(), expected)


def test_importance_draws_as_it_says_and_its_weights_undo_it() -> None:
    generator = torch.Generator().manual_seed(0)
    learned = warm(torch.rand(20, 3, generator=generator, dtype=torch.float64) + 0.1)
    t, weights = learned.draw(200_000, generator)
    counts = torch.bincount(t, minlength=20)
    assert chisquare(counts.numpy(), (learned.probabilities() * len(t)).numpy()).pvalue > 1e-3
    torch.testing.assert_close(weights * learned.probabilities()[t] * 20, torch.ones_like(weights))


def test_importance_forgets_all_but_the_last_losses() -> None:
    generator = torch.Generator().manual_seed(1)
    losses = torch.rand(5, 7, generator=generator, dtype=torch.float64)
    long = SecondMoment(5, history=3, uniform_share=0.01)
    for column in losses.unbind(dim=1):
        long.observe(torch.arange(5), column)
    torch.testing.assert_close(long.probabilities(), warm(losses[:, -3:]).probabilities())


def test_importance_goes_on_from_its_state_as_if_never_stopped() -> None:
    losses = torch.rand(30, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    learned = warm(losses)
    resumed = SecondMoment(30, history=2, uniform_share=0.01)
    resumed.restore(learned.state())
    for one in (learned, resumed):
        one.observe(torch.tensor([4, 4, 4]), torch.tensor([9.0, 8.0, 7.0]))
    assert torch.equal(learned.probabilities(), resumed.probabilities())
