"""Samplers on a Gaussian mixture, where the best denoiser and the exact answers are known.

With a perfect network the only errors left are those of the samplers, so these tests measure them:
where the samples end up, how fast the error falls with the steps, and what each variance is for.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from mixture import PIXELS, THREE_CLUSTERS, Mixture, as_images, gaussian, normal
from scipy.integrate import solve_ivp
from torch import Tensor

from mnist_diffusion.diffusion.forward import (
    add_noise,
    add_noise_step,
    posterior_mean,
    posterior_std,
    step_beta,
)
from mnist_diffusion.diffusion.guidance import Denoiser
from mnist_diffusion.diffusion.predictions import PREDICTIONS
from mnist_diffusion.diffusion.samplers import SAMPLERS
from mnist_diffusion.diffusion.schedules import SCHEDULES, Level, Schedule, zero_terminal_snr
from mnist_diffusion.diffusion.spacings import SPACINGS, levels

ODE_SAMPLERS = ["ddim", "dpm-solver-1", "dpm-solver-2", "dpm-solver-3", "heun"]
ANCESTRAL_SAMPLERS = [("ddpm", 1.0), ("ddpm-large", 1.0), ("ddim", 1.0)]
FIRST_ORDER_STEPS, HIGHER_ORDER_STEPS = 150, 50
SAMPLES = 6000


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tensors this small lose more by threads than they win."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def schedule_of(name: str, terminal: bool) -> Schedule:
    schedule = SCHEDULES[name](1000)
    return zero_terminal_snr(schedule) if terminal else schedule


# (schedule, zero terminal SNR, prediction); epsilon says nothing where no signal is left.
SETTINGS = [
    (schedule, terminal, prediction)
    for schedule in SCHEDULES
    for terminal in (False, True)
    for prediction in PREDICTIONS
    if not (terminal and prediction == "epsilon")
]


def end_of(
    sampler: str,
    denoise: Denoiser,
    x: Tensor,
    path: Sequence[Level],
    eta: float = 0.0,
    seed: int = 0,
) -> Tensor:
    generator = torch.Generator().manual_seed(seed)

    def noise() -> Tensor:
        return torch.randn(x.shape, generator=generator, dtype=x.dtype)

    *_, (end, _) = SAMPLERS[sampler](denoise, x, path, noise, eta)
    return end


@pytest.mark.parametrize("half_log_snr", [-4.0, -1.0, 0.0, 1.0, 3.0])
def test_the_denoiser_is_the_score_of_torchs_density(half_log_snr: float) -> None:
    """Tweedie: E[x0 | x_t] = (x_t + sigma² · score) / alpha, the score by autograd."""
    at = smooth_level(half_log_snr)
    x = THREE_CLUSTERS.noised(at).draw(50, seed=1)
    tweedie = (
        x + at.sigma**2 * as_images(score(THREE_CLUSTERS, x.view(-1, PIXELS), at))
    ) / at.alpha
    torch.testing.assert_close(THREE_CLUSTERS.denoise(x, at), tweedie, rtol=1e-9, atol=1e-10)


def test_exact_draws_pass_the_yardstick() -> None:
    weights = torch.full((SAMPLES,), 1 / SAMPLES, dtype=torch.float64)
    deviations = statistics(THREE_CLUSTERS.draw(SAMPLES, seed=2), weights) - expected_statistics()
    assert bool((deviations.abs() < 4 * standard_errors(SAMPLES)).all())
    assert bool((deviations.abs() > 0.001 * standard_errors(SAMPLES)).all())


def statistics(x: Tensor, weights: Tensor) -> Tensor:
    """What is compared: mean (2), covariance (3), and each cluster's share of the samples (3).

    The shares tell a mixture from a Gaussian that has its mean and covariance.
    """
    x = x.view(-1, PIXELS)
    mean = weights @ x
    covariance = (weights[:, None] * (x - mean)).T @ (x - mean)
    clean = THREE_CLUSTERS.distribution()
    logits = clean.mixture_distribution.logits + clean.component_distribution.log_prob(x[:, None])
    return torch.cat([mean, covariance.flatten()[[0, 1, 3]], weights @ logits.softmax(dim=1)])


def expected_statistics() -> Tensor:
    data = THREE_CLUSTERS
    return torch.cat([data.mean, data.covariance.flatten()[[0, 1, 3]], data.weights])


def standard_errors(count: int) -> Tensor:
    """Of `statistics` over `count` draws; a share strays by no more than a coin of its weight."""
    mean, covariance = THREE_CLUSTERS.standard_errors(count)
    share = (THREE_CLUSTERS.weights * (1 - THREE_CLUSTERS.weights) / count).sqrt()
    return torch.cat([mean, covariance.flatten()[[0, 1, 3]], share])


def grid_start(at: Level) -> tuple[Tensor, Tensor]:
    """The true marginal at a level as points of a grid and their weights.

    An ODE moves points without noise of its own, so that the grid integrates what would otherwise
    be sampled: the trapezoidal rule leaves an error of some 0.002 at this spacing.
    """
    ticks = torch.linspace(-5, 5, 56, dtype=torch.float64)
    points = torch.cartesian_prod(ticks, ticks)
    weights = THREE_CLUSTERS.noised(at).distribution().log_prob(points).exp()
    return as_images(points), weights / weights.sum()


def ode_deviation(sampler: str, denoise: Denoiser, path: Sequence[Level]) -> float:
    start, weights = grid_start(path[0])
    found = statistics(end_of(sampler, denoise, start, path), weights)
    return float((found - expected_statistics()).abs().max())


ODE_ALLOWANCE = 0.012
"""Discretisation, measured as 0.0024 to 0.0096, of which the grid of starts makes up 0.002."""


@pytest.mark.parametrize(("schedule", "terminal", "prediction"), SETTINGS)
@pytest.mark.parametrize("sampler", ODE_SAMPLERS)
def test_ode_samplers_end_in_the_data(
    sampler: str, schedule: str, terminal: bool, prediction: str
) -> None:
    first_order = sampler in ("ddim", "dpm-solver-1")
    steps = FIRST_ORDER_STEPS if first_order else HIGHER_ORDER_STEPS
    path = levels(schedule_of(schedule, terminal), steps, "trailing")
    assert ode_deviation(sampler, THREE_CLUSTERS.network(prediction), path) < ODE_ALLOWANCE


ANCESTRAL_ALLOWANCE = 0.016
"""Discretisation, measured with 200,000 samples: at most 0.0135, of linear's small variance."""


@pytest.mark.parametrize(("schedule", "terminal", "prediction"), SETTINGS)
@pytest.mark.parametrize(("sampler", "eta"), ANCESTRAL_SAMPLERS)
def test_ancestral_samplers_end_in_the_data(
    sampler: str, eta: float, schedule: str, terminal: bool, prediction: str
) -> None:
    """From pure noise, as in use; quadratic from its true marginal, for it keeps 3 % signal."""
    path = levels(schedule_of(schedule, terminal), FIRST_ORDER_STEPS, "trailing")
    pure = terminal or schedule != "quadratic"
    marginal = THREE_CLUSTERS.noised(path[0])
    start = normal(SAMPLES, seed=3) if pure else marginal.draw(SAMPLES, seed=3)
    drawn = end_of(sampler, THREE_CLUSTERS.network(prediction), start, path, eta, seed=4)
    weights = torch.full((SAMPLES,), 1 / SAMPLES, dtype=torch.float64)
    deviations = (statistics(drawn, weights) - expected_statistics()).abs()
    assert bool((deviations < ANCESTRAL_ALLOWANCE + 5 * standard_errors(SAMPLES)).all()), deviations


def test_the_allowance_is_not_vacuous() -> None:
    """Too few steps, or a denoiser that takes the data for one Gaussian, do not pass."""
    path = levels(SCHEDULES["cosine"](1000), 50, "trailing")
    one_cluster = Mixture(
        torch.ones(1, dtype=torch.float64),
        THREE_CLUSTERS.mean[None],
        THREE_CLUSTERS.covariance[None],
    )
    assert ode_deviation("heun", THREE_CLUSTERS.denoise, path) < ODE_ALLOWANCE
    assert ode_deviation("heun", one_cluster.denoise, path) > 3 * ODE_ALLOWANCE
    short = levels(SCHEDULES["cosine"](1000), 10, "trailing")
    assert ode_deviation("ddim", THREE_CLUSTERS.denoise, short) > 3 * ODE_ALLOWANCE


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_signal_left_at_the_start_biases_by_what_the_exact_solution_says(schedule: str) -> None:
    """From pure noise, the mean of N(m, s²) comes out as m · (1 - alpha_T · s / spread_T).

    For the ODE keeps (x_t - alpha_t·m) / spread_t, whose mean is -alpha_T·m / spread_T where it
    ought to be 0. This is 1.1 % for quadratic, and below 0.3 % for the others.
    """
    deviation = 0.4
    data = gaussian([0.8, -0.5], deviation)
    path = levels(SCHEDULES[schedule](1000), 300, "log-snr")
    spread = (path[0].alpha ** 2 * deviation**2 + path[0].sigma ** 2).sqrt()
    bias = path[0].alpha * deviation / spread
    # The sampler is affine on Gaussian data, so that the mean of the noise ends at the mean.
    end = end_of("dpm-solver-2", data.denoise, torch.zeros(1, 1, 1, PIXELS).double(), path)
    found = 1 - end.flatten() / data.means[0]
    torch.testing.assert_close(found, bias.expand(PIXELS), rtol=0.02, atol=1e-6)


def smooth_level(half_log_snr: float) -> Level:
    """A level of the continuous process; a timestep that no denoiser here may look at."""
    value = torch.tensor(half_log_snr, dtype=torch.float64)
    alpha, sigma = torch.sigmoid(2 * value).sqrt(), torch.sigmoid(-2 * value).sqrt()
    return Level(torch.tensor(-12345), alpha, sigma)


def score(data: Mixture, x: Tensor, at: Level) -> Tensor:
    """The gradient of the log-density of x_t, by autograd; (n, 2)."""
    x = x.detach().requires_grad_()
    density = data.noised(at).distribution().log_prob(x)
    return torch.autograd.grad(density.sum(), x)[0]


NOISY_END, CLEAN_END = -4.0, 4.0
"""Half-log-SNR: from 1.8 % signal to 1.8 % noise, so that the rule of the last step stays out."""


@cache
def ode_start_and_end() -> tuple[Tensor, Tensor]:
    """Points and where the probability-flow ODE leads them: dx/dlambda = sigma² · (x + score).

    Song et al. (2021b, eq. 13) for the variance-preserving process in half-log-SNR; the score is
    autograd's and the solver scipy's, so that nothing is shared with what is tested.
    """
    start = normal(16, seed=5)

    def velocity(half_log_snr: float, flat: np.ndarray) -> np.ndarray:
        at, x = smooth_level(half_log_snr), torch.from_numpy(flat).view(-1, PIXELS)
        return (at.sigma**2 * (x + score(THREE_CLUSTERS, x, at))).flatten().numpy()

    solved = solve_ivp(
        velocity,
        (NOISY_END, CLEAN_END),
        start.flatten().numpy(),
        method="DOP853",
        rtol=1e-12,
        atol=1e-13,
    )
    return start, torch.from_numpy(solved.y[:, -1]).view_as(start)


def half_log_snrs(steps: int, grid: str) -> np.ndarray:
    """Even steps, or alternately short and long ones: only these tell r from 1 / r."""
    shares = np.ones(steps)
    if grid == "alternating":
        shares[::2], shares[1::2] = 2 / 3, 4 / 3
    times = np.concatenate([[0], np.cumsum(shares)]) / shares.sum()
    return NOISY_END + (CLEAN_END - NOISY_END) * times


def measured_order(sampler: str, grid: str) -> float:
    """The slope of log error over log steps, the steps halved three times."""
    start, solution = ode_start_and_end()
    counts = [64, 128, 256, 512]
    errors = []
    for steps in counts:
        path = [smooth_level(value) for value in half_log_snrs(steps, grid)]
        end = end_of(sampler, THREE_CLUSTERS.denoise, start, path)
        errors.append(float((end - solution).square().mean().sqrt()))
    return float(-np.polyfit(np.log(counts), np.log(errors), 1)[0])


@pytest.mark.parametrize("grid", ["even", "alternating"])
@pytest.mark.parametrize(
    ("sampler", "order"),
    [("ddim", 1), ("dpm-solver-1", 1), ("heun", 2), ("dpm-solver-2", 2), ("dpm-solver-3", 3)],
)
def test_errors_fall_with_the_order_of_the_solver(sampler: str, order: int, grid: str) -> None:
    """The lower orders of a multistep solver's first steps do not show: little happens there."""
    assert measured_order(sampler, grid) == pytest.approx(order, abs=0.25)


STEP_COUNTS = [7, 50]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize(
    ("one", "other", "eta"), [("ddim", "ddpm", 1.0), ("ddim", "dpm-solver-1", 0.0)]
)
def test_ddim_is_ancestral_at_full_eta_and_the_first_order_solver_at_none(
    one: str, other: str, eta: float, spacing: str, terminal: bool, schedule: str
) -> None:
    """The same numbers from the same noise (Song et al. 2021, section 4.1; Lu et al. 2022)."""
    start = normal(20, seed=6)
    for steps in STEP_COUNTS:
        path = levels(schedule_of(schedule, terminal), steps, spacing)
        ends = [end_of(name, THREE_CLUSTERS.denoise, start, path, eta) for name in (one, other)]
        # 1 - alpha_bar has lost as many digits as the cleanest level has little noise.
        rounding = 2e-15 / float(path[-2].sigma) ** 2
        torch.testing.assert_close(*ends, rtol=0, atol=max(1e-10, rounding))


def step_moments(sampler: str, data: Mixture, here: Level, there: Level) -> tuple[Tensor, Tensor]:
    """Mean and variance, (2,) each, that one step makes of the true marginal at `here`.

    No sampling: on one Gaussian a step is affine in x and in the noise, and keeps pixels apart.
    """

    def step(x: float, noise: float) -> Tensor:
        images = torch.full((1, 1, 1, PIXELS), x, dtype=torch.float64)
        walk = SAMPLERS[sampler](
            data.denoise, images, [here, there], lambda: torch.full_like(images, noise), 1.0
        )
        return next(iter(walk))[0].flatten()

    offset = step(0, 0)
    gain, spread = step(1, 0) - offset, step(0, 1) - offset
    before = data.noised(here)
    variance = gain**2 * before.covariance.diagonal() + spread**2
    return gain * before.mean + offset, variance


def respaced_steps(schedule: str, terminal: bool) -> list[tuple[Level, Level]]:
    """Steps of many lengths, the last of each path, which adds no noise, left out."""
    chain = schedule_of(schedule, terminal)
    paths = [levels(chain, steps, spacing)[:-1] for spacing in SPACINGS for steps in (2, 5, 40)]
    return [step for path in paths for step in pairwise(path)]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize(
    ("sampler", "deviation"), [("ddpm", 0.0), ("ddim", 0.0), ("ddpm-large", 1.0)]
)
def test_each_variance_is_exact_for_its_own_data(
    sampler: str, deviation: float, terminal: bool, schedule: str
) -> None:
    """The posterior's for a single point, beta for unit variance (Ho et al. 2020, section 3.2).

    Steps of any length keep the marginal then, which makes a respaced chain a diffusion too.
    """
    data = gaussian([0.8, -0.5], deviation)
    for here, there in respaced_steps(schedule, terminal):
        mean, variance = step_moments(sampler, data, here, there)
        after = data.noised(there)
        torch.testing.assert_close(mean, after.mean, rtol=0, atol=1e-10)
        torch.testing.assert_close(variance, after.covariance.diagonal(), rtol=0, atol=1e-10)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("terminal", [False, True])
def test_other_data_lies_between_the_two_variances(terminal: bool, schedule: str) -> None:
    """The small variance lacks what x_t leaves open of x0, which is Var[x0 | x_t] exactly.

    So no respaced chain keeps the variance of a Gaussian of deviation 0.5, but all keep its mean.
    """
    deviation = 0.5
    data = gaussian([0.8, -0.5], deviation)
    one, none = torch.ones(PIXELS).double(), torch.zeros(PIXELS).double()
    for here, there in respaced_steps(schedule, terminal):
        after = data.noised(there)
        truth = after.covariance.diagonal()
        mean, small = step_moments("ddpm", data, here, there)
        _, large = step_moments("ddpm-large", data, here, there)
        open_variance = (deviation * here.sigma) ** 2 / data.noised(here).covariance[0, 0]
        lacking = posterior_mean(one, none, here, there) ** 2 * open_variance
        torch.testing.assert_close(mean, after.mean, rtol=0, atol=1e-10)
        torch.testing.assert_close(small + lacking, truth, rtol=0, atol=1e-10)
        assert bool((small < truth).all()) and bool((truth < large).all())


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_mean_of_a_gaussian_is_exact_for_any_levels(sampler: str, spacing: str) -> None:
    """At x_t = alpha_t·m the denoiser says m, and every sampler is affine: m is where it ends."""
    data = gaussian([0.8, -0.5], 0.5)
    for terminal in (False, True):
        path = levels(schedule_of("cosine", terminal), 9, spacing)
        x = as_images(path[0].alpha * data.means)
        still = SAMPLERS[sampler](data.denoise, x, path, lambda: torch.zeros(1).double(), 1.0)
        for (state, _), at in zip(still, path[1:], strict=True):
            torch.testing.assert_close(state, as_images(at.alpha * data.means), rtol=0, atol=1e-10)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_chain_ends_where_the_closed_form_does(schedule: str) -> None:
    """Iterated noising of the mixture, by its moments: 5 standard errors, no allowance."""
    chain, count = SCHEDULES[schedule](50), 20_000
    x0 = THREE_CLUSTERS.draw(count, seed=7)
    x = x0
    for t in range(30):
        x = add_noise_step(x, normal(count, seed=100 + t), chain.betas[t])
    closed = add_noise(x0, normal(count, seed=99), chain.level(29))
    marginal = THREE_CLUSTERS.noised(chain.level(29))
    mean_error, covariance_error = marginal.standard_errors(count)
    for images in (x, closed):
        vectors = images.view(-1, PIXELS)
        assert bool(((vectors.mean(0) - marginal.mean).abs() < 5 * mean_error).all())
        off = (vectors.T.cov() - marginal.covariance).abs()
        assert bool((off < 5 * covariance_error).all())


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize(("noisy", "cleaner"), [(1, 0), (49, 48), (30, 12), (49, 0), (49, -1)])
def test_the_posterior_is_bayes_rule_on_the_whole_chain(
    noisy: int, cleaner: int, terminal: bool, schedule: str
) -> None:
    """The joint covariance of x_-1 = x0 and all x_t, link by link, conditioned with numpy."""
    chain = SCHEDULES[schedule](50)
    chain = zero_terminal_snr(chain) if terminal else chain
    betas = chain.betas.numpy()
    # Row t + 1 holds x_t's coefficients on (x0, the noise of each link).
    rows = [np.eye(51)[0]]
    for t, beta in enumerate(betas):
        rows.append(np.sqrt(1 - beta) * rows[-1] + np.sqrt(beta) * np.eye(51)[t + 1])
    signal, links = np.array(rows)[:, 0], np.array(rows)[:, 1:]
    s, t = cleaner + 1, noisy + 1
    joint = links[[s, t]] @ links[[s, t]].T  # (x_s, x_t) given x0
    x0, x_t = 0.7, -1.3
    gain = joint[0, 1] / joint[1, 1]
    mean = signal[s] * x0 + gain * (x_t - signal[t] * x0)
    variance = joint[0, 0] - gain * joint[1, 0]

    here, there = chain.level(noisy), chain.level(cleaner)
    given = torch.tensor([x0, x_t], dtype=torch.float64)
    found = posterior_mean(given[0], given[1], here, there)
    assert float(found) == pytest.approx(mean, abs=1e-12)
    assert float(posterior_std(here, there)) ** 2 == pytest.approx(variance, abs=1e-12)
    if cleaner >= 0:
        added = 1 - np.prod(1 - betas[cleaner + 1 : noisy + 1])
        assert float(step_beta(here, there)) == pytest.approx(added, abs=1e-12)
