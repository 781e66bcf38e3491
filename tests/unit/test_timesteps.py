"""Which timesteps training draws, and what the importance sampler makes of their losses."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import chisquare

from mnist_diffusion.diffusion.schedules import SCHEDULES, Schedule, zero_terminal_snr
from mnist_diffusion.diffusion.timesteps import (
    TIMESTEP_SAMPLERS,
    Stratified,
    TimestepSampler,
)

PARAMETERS: dict[str, dict[str, float]] = {
    "importance": {"history": 2, "uniform_share": 0.01},
    "laplace": {"location": 0.5, "scale": 0.8},
    "logit-normal": {"mean": -0.3, "deviation": 1.2},
}
DENSITIES = ("laplace", "logit-normal")


def schedule_of(timesteps: int) -> Schedule:
    """Of which all but the densities look at the number of timesteps alone."""
    return SCHEDULES["cosine"](timesteps)


def sampler(name: str, timesteps: int) -> TimestepSampler:
    return TIMESTEP_SAMPLERS[name](schedule_of(timesteps), **PARAMETERS.get(name, {}))


@pytest.mark.parametrize("name", sorted(TIMESTEP_SAMPLERS.keys() - {*DENSITIES}))
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
        t, _ = Stratified(schedule_of(1000)).draw(10, generator)
        assert (t // 100).tolist() == list(range(10))


def log_snr_edges(schedule: Schedule) -> np.ndarray:
    """From the cleanest end on, with the midpoints of neighbours between them."""
    log_snr = np.log((schedule.alphas_bar / (1 - schedule.alphas_bar)).numpy())
    return np.array([50.0, *(log_snr[:-1] + log_snr[1:]) / 2, -50.0])


def laplace_mass(edges: np.ndarray, location: float, scale: float) -> list[float]:
    """Between edges of log-SNR, by quadrature of the density in Hang et al. (2025)."""

    def density(value: float) -> float:
        return np.exp(-abs(value - location) / scale) / (2 * scale)

    ends = zip(edges[1:], edges[:-1], strict=True)
    return [quad(density, low, high, points=[location])[0] for low, high in ends]


def logit_normal_mass(edges: np.ndarray, mean: float, deviation: float) -> list[float]:
    """The same by that of t in Esser et al. (2024); t / (1 - t) is sigma / alpha."""

    def density(t: float) -> float:
        off = (np.log(t / (1 - t)) - mean) / deviation
        return np.exp(-(off**2) / 2) / (deviation * np.sqrt(2 * np.pi) * t * (1 - t))

    times = 1 / (1 + np.exp(edges / 2))
    return [quad(density, low, high)[0] for low, high in pairwise(times)]


MASSES = {"laplace": laplace_mass, "logit-normal": logit_normal_mass}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", DENSITIES)
def test_densities_are_those_of_their_papers_on_any_schedule(name: str, schedule: str) -> None:
    """A batch has a draw for each of its quantiles: of a large one, shares are exact to a draw."""
    chain, count = SCHEDULES[schedule](60), 100_000
    drawn = TIMESTEP_SAMPLERS[name](chain, **PARAMETERS[name])
    t, _ = drawn.draw(count, torch.Generator().manual_seed(0))
    shares = torch.bincount(t, minlength=60).numpy() / count
    mass = MASSES[name](log_snr_edges(chain), **PARAMETERS[name])
    assert sum(mass) == pytest.approx(1, abs=1e-6)
    assert np.abs(np.cumsum(shares) - np.cumsum(mass)).max() < 2 / count


@pytest.mark.parametrize(("name", "centre"), [("laplace", 0.5), ("logit-normal", 0.6)])
def test_a_density_is_a_weighting_and_its_draws_are_not_weighted_back(
    name: str, centre: float
) -> None:
    """The mean of anything is over the density, as the papers minimise it, not over timesteps."""
    chain = SCHEDULES["linear"](1000)
    log_snr = chain.level(torch.arange(1000)).snr.log()
    drawn = TIMESTEP_SAMPLERS[name](chain, **PARAMETERS[name])
    t, weights = drawn.draw(100_000, torch.Generator().manual_seed(0))
    assert torch.equal(weights, torch.ones(100_000, dtype=torch.float64))
    assert float(log_snr[t].mean()) == pytest.approx(centre, abs=0.01)
    assert float(log_snr.mean()) < -2


@pytest.mark.parametrize("name", DENSITIES)
def test_batches_cover_the_quantiles_of_a_density(name: str) -> None:
    drawn, generator = sampler(name, 1000), torch.Generator().manual_seed(0)
    many, _ = drawn.draw(100_000, generator)
    edges = many[10_000::10_000]
    batches = [drawn.draw(10, generator)[0] for _ in range(20)]
    for t in batches:
        assert bool((t[1:] >= edges).all()) and bool((t[:-1] <= edges).all())
    assert len({tuple(t.tolist()) for t in batches}) > 10


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("laplace", {"location": -9.0, "scale": 5.0}),
        ("logit-normal", {"mean": 5.0, "deviation": 3.0}),
    ],
)
def test_a_density_never_draws_zero_snr(name: str, parameters: dict[str, float]) -> None:
    """Which is why settings refuse it there: its log-SNR is infinitely far from all others."""
    drawn = TIMESTEP_SAMPLERS[name](zero_terminal_snr(SCHEDULES["cosine"](50)), **parameters)
    t, _ = drawn.draw(100_000, torch.Generator().manual_seed(0))
    assert (int(t.min()), int(t.max())) == (0, 48)
