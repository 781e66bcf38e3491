"""What must hold of the diffusion core for any schedule, level, image and number of steps."""

from collections import deque
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from scipy.stats import chisquare
from torch import Tensor

from mnist_diffusion.diffusion.bounds import X0_BOUNDS, bounded
from mnist_diffusion.diffusion.forward import add_noise, posterior_std
from mnist_diffusion.diffusion.guidance import Denoiser, guided, rescaled
from mnist_diffusion.diffusion.predictions import PREDICTIONS, to_epsilon
from mnist_diffusion.diffusion.samplers import SAMPLERS
from mnist_diffusion.diffusion.schedules import CLEAN, SCHEDULES, Level, Schedule, zero_terminal_snr
from mnist_diffusion.diffusion.spacings import SPACINGS, levels
from mnist_diffusion.diffusion.timesteps import SecondMoment
from mnist_diffusion.diffusion.weightings import WEIGHTINGS, weighting
from mnist_diffusion.randomness import PerImageNoise

SHAPE = (3, 1, 2, 2)
STOCHASTIC = ["ddpm", "ddpm-large", "ddim"]
seeds = st.integers(0, 2**32)
timesteps = st.integers(20, 200)
guidance_scales = st.floats(-2, 8).filter(lambda scale: scale not in (0, 1))


@st.composite
def schedules(draw: DrawFn, terminal: bool | None = None) -> Schedule:
    """Any schedule of any length; with or without signal at the end, or either where None."""
    # At T = 20 the last beta of linear and quadratic is 1: no signal is left, though not asked for.
    schedule = SCHEDULES[draw(st.sampled_from(sorted(SCHEDULES)))](draw(st.integers(21, 200)))
    wanted = draw(st.booleans()) if terminal is None else terminal
    return zero_terminal_snr(schedule) if wanted else schedule


@st.composite
def noise_levels(draw: DrawFn, terminal: bool | None = None) -> Level:
    """Any level of any schedule, from the cleanest noisy one to the last."""
    schedule = draw(schedules(terminal))
    return schedule.level(draw(st.integers(0, schedule.timesteps - 1)))


@st.composite
def walks(draw: DrawFn) -> list[Level]:
    """The levels of a sampler: any schedule, spacing and number of steps."""
    schedule = draw(schedules())
    steps = draw(st.integers(1, schedule.timesteps))
    return levels(schedule, steps, draw(st.sampled_from(sorted(SPACINGS))))


def images(seed: int, count: int = 1) -> Tensor:
    """`count` different batches; (count, *SHAPE), float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, *SHAPE, generator=generator, dtype=torch.float64)


def per_image(values: Tensor) -> Tensor:
    return values.square().mean(dim=(1, 2, 3))


class Counted:
    """A denoiser that says the same whatever it is asked, and counts how often it is."""

    def __init__(self, x0: Tensor):
        self.x0, self.calls = x0, 0

    def __call__(self, x: Tensor, at: Level) -> Tensor:
        self.calls += 1
        return self.x0


def close(found: Tensor, expected: Tensor, tolerance: float = 1e-10) -> None:
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


class TestSchedules:
    @pytest.mark.parametrize("name", SCHEDULES)
    @given(count=st.integers(20, 1000))
    def test_log_snr_falls_strictly(self, name: str, count: int) -> None:
        schedule = SCHEDULES[name](count)
        for chain in (schedule, zero_terminal_snr(schedule)):
            half_log_snr = chain.level(torch.arange(count)).half_log_snr
            assert bool((half_log_snr.diff() < 0).all())
            assert not bool(half_log_snr.isnan().any())

    @given(schedule=schedules(terminal=False))
    def test_zero_terminal_snr_moves_the_last_level_to_zero_and_keeps_the_first(
        self, schedule: Schedule
    ) -> None:
        terminal = zero_terminal_snr(schedule)
        assert float(terminal.level(schedule.timesteps - 1).alpha) == 0
        close(terminal.alphas_bar[0], schedule.alphas_bar[0])
        # Shifted and stretched: the signal stays an affine function of what it was.
        signal, before = terminal.alphas_bar.sqrt(), schedule.alphas_bar.sqrt()
        share = (before - before[-1]) / (before[0] - before[-1])
        close(signal, share * before[0])

    @given(schedule=schedules(), seed=seeds, data=st.data())
    def test_x_t_has_the_moments_that_the_betas_give(
        self, schedule: Schedule, seed: int, data: st.DataObject
    ) -> None:
        """From the product of 1 - beta, and over 4,000 draws to 5 standard errors."""
        t = data.draw(st.integers(CLEAN, schedule.timesteps - 1))
        alpha_bar = float(np.prod(1 - schedule.betas.numpy()[: t + 1]))
        at, count = schedule.level(t), 4000
        one, zero = torch.ones(()).double(), torch.zeros(()).double()
        assert float(add_noise(one, zero, at)) ** 2 == pytest.approx(alpha_bar, abs=1e-12)
        assert float(add_noise(zero, one, at)) ** 2 == pytest.approx(1 - alpha_bar, abs=1e-12)
        noise = torch.randn(
            count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
        )
        x = add_noise(0.7 * torch.ones(count).double(), noise, at)
        spread = (1 - alpha_bar) ** 0.5
        error = 5 * spread / count**0.5 + 1e-12
        assert float(x.mean()) == pytest.approx(0.7 * alpha_bar**0.5, abs=error)
        assert float(x.std()) == pytest.approx(spread, abs=error)


class TestPredictions:
    @pytest.mark.parametrize("name", PREDICTIONS)
    @given(at=noise_levels(terminal=False), seed=seeds)
    def test_are_inverses_at_all_levels(self, name: str, at: Level, seed: int) -> None:
        x0, noise, output = images(seed, 3)
        x_t, reading = add_noise(x0, noise, at), PREDICTIONS[name]
        # epsilon divides by alpha, which takes digits with it.
        tolerance = 1e-13 / float(at.alpha) + 1e-13 / float(at.sigma)
        close(reading.to_x0(reading.target(x0, noise, at), x_t, at), x0, tolerance)
        implied = reading.to_x0(output, x_t, at)
        again = reading.target(implied, to_epsilon(implied, x_t, at), at)
        close(again, output, 10 * tolerance)

    @pytest.mark.parametrize("name", ["x0", "v"])
    @given(schedule=schedules(terminal=True), seed=seeds)
    def test_x0_and_v_are_inverses_where_no_signal_is_left(
        self, name: str, schedule: Schedule, seed: int
    ) -> None:
        x0, noise = images(seed, 2)
        at, reading = schedule.level(schedule.timesteps - 1), PREDICTIONS[name]
        target = reading.target(x0, noise, at)
        close(reading.to_x0(target, add_noise(x0, noise, at), at), x0)

    @given(at=noise_levels(), seed=seeds)
    def test_targets_are_what_their_names_say(self, at: Level, seed: int) -> None:
        x0, noise = images(seed, 2)
        velocity = at.alpha * noise - at.sigma * x0
        wanted = {"epsilon": noise, "x0": x0, "v": velocity}
        for name, target in wanted.items():
            close(PREDICTIONS[name].target(x0, noise, at), target)


class TestLosses:
    @pytest.mark.parametrize("name", PREDICTIONS)
    @given(at=noise_levels(terminal=False), seed=seeds)
    def test_one_error_is_as_good_as_another(self, name: str, at: Level, seed: int) -> None:
        """eps-MSE = SNR · x0-MSE = SNR / (1 + SNR) · v-MSE, and velocity_factor leads to v's."""
        x0, noise, error = images(seed, 3)
        x_t, reading = add_noise(x0, noise, at), PREDICTIONS[name]
        wrong = reading.to_x0(reading.target(x0, noise, at) + error, x_t, at)
        wrong_noise = to_epsilon(wrong, x_t, at)
        x0_loss, epsilon_loss = per_image(wrong - x0), per_image(wrong_noise - noise)
        v_loss = per_image(at.alpha * (wrong_noise - noise) - at.sigma * (wrong - x0))
        snr = float(at.alpha**2 / at.sigma**2)
        torch.testing.assert_close(epsilon_loss, snr * x0_loss, rtol=1e-6, atol=0)
        torch.testing.assert_close(epsilon_loss, snr / (1 + snr) * v_loss, rtol=1e-6, atol=0)
        factor = reading.velocity_factor(at) ** 2
        torch.testing.assert_close(factor * per_image(error), v_loss, rtol=1e-6, atol=0)

    @given(
        at=noise_levels(terminal=False), k=st.floats(0.1, 3), gamma=st.floats(0.1, 8), seed=seeds
    )
    def test_weightings_are_losses_of_their_papers(
        self, at: Level, k: float, gamma: float, seed: int
    ) -> None:
        x0, noise, wrong = images(seed, 3)
        x_t = add_noise(x0, noise, at)
        wrong_noise = to_epsilon(wrong, x_t, at)
        x0_loss, epsilon_loss = per_image(wrong - x0), per_image(wrong_noise - noise)
        v_loss = per_image(at.alpha * (wrong_noise - noise) - at.sigma * (wrong - x0))
        snr = float(at.alpha**2 / at.sigma**2)
        losses = {
            "epsilon": epsilon_loss,
            "v": v_loss,
            "p2": epsilon_loss / (k + snr) ** gamma,
            "min-snr": x0_loss * min(snr, gamma),
        }
        assert losses.keys() == WEIGHTINGS.keys()
        for name, expected in losses.items():
            found = WEIGHTINGS[name](at, **_parameters(name, k, gamma)) * v_loss
            torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)

    @pytest.mark.parametrize("name", WEIGHTINGS)
    @given(schedule=schedules(), k=st.floats(0.1, 3), gamma=st.floats(0.1, 8))
    def test_unit_mean_is_a_mean_of_one(
        self, name: str, schedule: Schedule, k: float, gamma: float
    ) -> None:
        """As a factor on eps-MSE, over every timestep at which eps-MSE says anything."""
        parameters = _parameters(name, k, gamma)
        every = schedule.level(torch.arange(schedule.timesteps))
        unit = weighting(name, schedule, unit_mean=True, **parameters)(every)
        plain = weighting(name, schedule, **parameters)(every)
        signal = every.alpha > 0
        assert float((unit / every.alpha**2)[signal].mean()) == pytest.approx(1, rel=1e-9)
        torch.testing.assert_close(unit * plain[0], plain * unit[0])


def _parameters(name: str, k: float, gamma: float) -> dict[str, float]:
    return {"p2": {"k": k, "gamma": gamma}, "min-snr": {"gamma": gamma}}.get(name, {})


class TestGuidance:
    @given(
        at=noise_levels(),
        seed=seeds,
        rescale=st.floats(0, 1),
        interval=st.none() | st.tuples(st.floats(0, 1), st.floats(1, 9)),
    )
    def test_scales_of_0_and_1_call_one_denoiser_once(
        self, at: Level, seed: int, rescale: float, interval: tuple[float, float] | None
    ) -> None:
        x, labelled, plain = images(seed, 3)
        for scale, answer in ((0.0, plain), (1.0, labelled)):
            conditional, unconditional = Counted(labelled), Counted(plain)
            denoise = guided(conditional, unconditional, scale, interval=interval, rescale=rescale)
            assert denoise(x, at) is answer
            assert (conditional.calls, unconditional.calls) == (scale, 1 - scale)

    @given(at=noise_levels(terminal=False), seed=seeds, scale=guidance_scales)
    def test_guided_x0_is_guided_epsilon_in_either_form(
        self, at: Level, seed: int, scale: float
    ) -> None:
        """u + s·(c - u) is (1 + w)·c - w·u at w = s - 1, of eps as of x0."""
        x, labelled, plain = images(seed, 3)
        conditional, unconditional = Counted(labelled), Counted(plain)
        x0 = guided(conditional, unconditional, scale)(x, at)
        assert (conditional.calls, unconditional.calls) == (1, 1)
        c, u, w = to_epsilon(labelled, x, at), to_epsilon(plain, x, at), scale - 1
        ratio = float(at.alpha / at.sigma)
        close(to_epsilon(x0, x, at), u + scale * (c - u), 1e-11 * (1 + ratio))
        close(x0, (1 + w) * labelled - w * plain)

    @given(
        at=noise_levels(),
        seed=seeds,
        scale=guidance_scales,
        ends=st.tuples(st.floats(0, 20), st.floats(0, 20)).filter(lambda ends: ends[0] < ends[1]),
        rescale=st.floats(0, 1),
    )
    def test_outside_its_interval_guidance_is_the_conditional(
        self, at: Level, seed: int, scale: float, ends: tuple[float, float], rescale: float
    ) -> None:
        x, labelled, plain = images(seed, 3)
        conditional, unconditional = Counted(labelled), Counted(plain)
        x0 = guided(conditional, unconditional, scale, interval=ends, rescale=rescale)(x, at)
        inside = at.alpha > 0 and ends[0] <= float(at.sigma / at.alpha) <= ends[1]
        assert (conditional.calls, unconditional.calls) == (1, int(inside))
        if inside:
            everywhere = guided(Counted(labelled), Counted(plain), scale, rescale=rescale)(x, at)
            assert torch.equal(x0, everywhere)
        else:
            assert x0 is labelled

    @given(seed=seeds, phi=st.floats(0, 1))
    def test_rescaling_goes_a_share_of_the_way_to_the_conditionals_contrast(
        self, seed: int, phi: float
    ) -> None:
        conditional, wide = images(seed, 2)
        before, wanted = wide.flatten(1).std(dim=1), conditional.flatten(1).std(dim=1)
        assert torch.equal(rescaled(wide, conditional, 0.0), wide)
        close(rescaled(wide, conditional, 1.0).flatten(1).std(dim=1), wanted)
        between = rescaled(wide, conditional, phi)
        close(between.flatten(1).std(dim=1), phi * wanted + (1 - phi) * before)
        close(between / between[:, :1, :1, :1], wide / wide[:, :1, :1, :1], 1e-8)

    @given(at=noise_levels(), seed=seeds, scale=guidance_scales)
    def test_guided_images_keep_the_conditionals_contrast_when_fully_rescaled(
        self, at: Level, seed: int, scale: float
    ) -> None:
        x, labelled, plain = images(seed, 3)
        x0 = guided(Counted(labelled), Counted(plain), scale, rescale=1.0)(x, at)
        close(x0.flatten(1).std(dim=1), labelled.flatten(1).std(dim=1))


class TestBounds:
    @pytest.mark.parametrize("bound", ["clip", "dynamic"])
    @given(at=noise_levels(), seed=seeds, size=st.floats(0.1, 50), quantile=st.floats(0.05, 1))
    def test_hold_the_images_within_the_range_of_pixels(
        self, bound: str, at: Level, seed: int, size: float, quantile: float
    ) -> None:
        x, x0 = images(seed, 2)
        held = bounded(Counted(size * x0), bound, quantile)(x, at)
        assert float(held.abs().max()) <= 1
        assert bool((held * x0 >= 0).all())

    @given(seed=seeds, size=st.floats(0.1, 10), quantile=st.floats(0.05, 1))
    def test_dynamic_is_its_formula_image_by_image(
        self, seed: int, size: float, quantile: float
    ) -> None:
        """Saharia et al. (2022) in numpy; the identity where an image's quantile is within 1."""
        x0 = size * images(seed)[0]
        held = X0_BOUNDS["dynamic"](x0, quantile)
        for image, found in zip(x0.numpy(), held.numpy(), strict=True):
            limit = max(1.0, float(np.quantile(np.abs(image), quantile)))
            np.testing.assert_allclose(found, np.clip(image, -limit, limit) / limit, rtol=1e-12)

    @given(seed=seeds, quantile=st.floats(0.05, 1))
    def test_images_in_range_stay_as_they_are(self, seed: int, quantile: float) -> None:
        x0 = images(seed)[0].tanh()
        for hold in X0_BOUNDS.values():
            assert torch.equal(hold(x0, quantile), x0)


class TestSpacings:
    @pytest.mark.parametrize("spacing", SPACINGS)
    @given(data=st.data(), name=st.sampled_from(sorted(SCHEDULES)), terminal=st.booleans())
    def test_visit_as_many_timesteps_as_there_are_steps(
        self, spacing: str, data: st.DataObject, name: str, terminal: bool
    ) -> None:
        schedule = SCHEDULES[name](data.draw(st.integers(20, 300), label="T"))
        schedule = zero_terminal_snr(schedule) if terminal else schedule
        steps = data.draw(st.integers(1, schedule.timesteps), label="steps")
        visited = SPACINGS[spacing](schedule, steps)
        assert len(visited) == steps
        assert all(earlier > later for earlier, later in pairwise(visited))
        assert visited[-1] >= 0 and visited[0] < schedule.timesteps
        if spacing == "leading":
            assert visited[-1] == 0
        else:
            assert visited[0] == schedule.timesteps - 1
        if spacing == "linspace" and steps > 1:
            assert visited[-1] == 0

    @pytest.mark.parametrize("spacing", SPACINGS)
    @given(schedule=schedules())
    def test_all_steps_are_all_timesteps(self, spacing: str, schedule: Schedule) -> None:
        count = schedule.timesteps
        assert SPACINGS[spacing](schedule, count) == list(reversed(range(count)))

    @given(schedule=schedules(terminal=False), steps=st.integers(2, 8))
    def test_log_snr_steps_are_as_even_as_timesteps_allow(
        self, schedule: Schedule, steps: int
    ) -> None:
        """Each the nearest there is, unless two of them would be the same."""
        visited = SPACINGS["log-snr"](schedule, steps)
        half_log_snr = schedule.level(torch.arange(schedule.timesteps)).half_log_snr
        ends = float(half_log_snr[-1]), float(half_log_snr[0])
        wanted = torch.linspace(*ends, steps, dtype=torch.float64)
        nearest = (half_log_snr[:, None] - wanted).abs().min(dim=0).values
        found = (half_log_snr[visited] - wanted).abs()
        distinct = {int((half_log_snr - at).abs().argmin()) for at in wanted}
        assume(len(distinct) == steps)
        close(found, nearest)

    @given(walk=walks())
    def test_levels_end_clean(self, walk: list[Level]) -> None:
        assert (int(walk[-1].t), float(walk[-1].alpha), float(walk[-1].sigma)) == (CLEAN, 1, 0)
        assert all(bool(here.sigma > there.sigma) for here, there in pairwise(walk))


class TestSamplers:
    @pytest.mark.parametrize("spacing", SPACINGS)
    @pytest.mark.parametrize("sampler", SAMPLERS)
    @given(data=st.data(), schedule=schedules(), seed=seeds, eta=st.sampled_from([0.0, 0.4, 1.0]))
    def test_recover_a_single_point_exactly(
        self,
        sampler: str,
        spacing: str,
        data: st.DataObject,
        schedule: Schedule,
        seed: int,
        eta: float,
    ) -> None:
        """Where the denoiser knows the image, no step adds an error: nor do the states between.

        Without noise of their own, samplers keep the noise of the start in the share that the
        level asks for; the ancestral ones replace it, so that only the signal is checked.
        """
        steps = data.draw(st.integers(1, min(schedule.timesteps, 40)), label="steps")
        path = levels(schedule, steps, spacing)
        point, noise = images(seed, 2)
        keeps_noise = sampler not in ("ddpm", "ddpm-large")
        noise = noise if keeps_noise else torch.zeros(SHAPE).double()
        eta = 0.0 if keeps_noise else eta
        x = add_noise(point, noise, path[0])
        found = SAMPLERS[sampler](lambda x, at: point, x, path, lambda: torch.zeros(SHAPE), eta)
        for (state, x0), at in zip(found, path[1:], strict=True):
            close(state, add_noise(point, noise, at))
            assert torch.equal(x0, point)
        close(state, point, 1e-12)

    @pytest.mark.parametrize("sampler", STOCHASTIC)
    @given(walk=walks(), eta=st.floats(0, 1), data=st.data())
    def test_add_eta_times_the_ancestral_noise(
        self, sampler: str, walk: list[Level], eta: float, data: st.DataObject
    ) -> None:
        """And none at the last step; DDIM takes as much from the direction as it adds."""
        step = data.draw(st.integers(0, len(walk) - 2), label="step")
        here, there = walk[step : step + 2]
        point, none, one = torch.zeros(3, *SHAPE).double()
        one = one + 1

        def after(x: Tensor, noise: Tensor) -> Tensor:
            (state, _), *_ = SAMPLERS[sampler](
                lambda x, at: point, x, [here, there], lambda: noise, eta
            )
            return state

        added = float(after(none, one).flatten()[0])
        beta = 1 - float(here.alpha / there.alpha) ** 2
        large = beta**0.5 if there.sigma > 0 else 0.0
        small = float(there.sigma / here.sigma) * beta**0.5
        assert added == pytest.approx(eta * (large if sampler == "ddpm-large" else small))
        assert float(posterior_std(here, there)) == pytest.approx(small)
        kept = float(after(one * here.sigma, none).flatten()[0])
        if sampler == "ddim":
            assert kept**2 + added**2 == pytest.approx(float(there.sigma) ** 2, abs=1e-12)

    @pytest.mark.parametrize("sampler", SAMPLERS)
    @given(
        schedule=schedules(),
        spacing=st.sampled_from(sorted(SPACINGS)),
        steps=st.integers(1, 12),
        order=st.permutations(range(4)),
        seed=seeds,
    )
    def test_permuting_images_permutes_results(
        self,
        sampler: str,
        schedule: Schedule,
        spacing: str,
        steps: int,
        order: list[int],
        seed: int,
    ) -> None:
        """Image k has its own noise, and nothing of its neighbours in the batch."""
        path = levels(schedule, steps, spacing)

        def draw(indices: list[int]) -> Tensor:
            start = PerImageNoise(seed, "start", indices, SHAPE[1:])().double()
            noise = PerImageNoise(seed, "steps", indices, SHAPE[1:])
            denoise: Denoiser = bounded(
                lambda x, at: 1.5 * x / (1 + x.square().sum(dim=(1, 2, 3), keepdim=True)),
                "dynamic",
                0.8,
            )
            *_, (end, _) = SAMPLERS[sampler](denoise, start, path, noise, 1.0)
            return end

        close(draw(order), draw([0, 1, 2, 3])[order], 1e-12)


class NaiveSecondMoment:
    """Importance sampling as the paper puts it, with a list of losses for each timestep."""

    def __init__(self, count: int, history: int, share: float):
        self.last: list[deque[float]] = [deque(maxlen=history) for _ in range(count)]
        self.history, self.share = history, share

    def probabilities(self) -> list[float]:
        count = len(self.last)
        if any(len(losses) < self.history for losses in self.last):
            return [1 / count] * count
        moments = [np.sqrt(np.mean(np.square(losses))) for losses in self.last]
        return [(1 - self.share) * m / sum(moments) + self.share / count for m in moments]


@st.composite
def learned(draw: DrawFn, warm: bool | None = True) -> tuple[SecondMoment, NaiveSecondMoment]:
    """An importance sampler and the naive one after the same losses; warmed up where `warm`."""
    count, history = draw(st.integers(2, 8)), draw(st.integers(1, 4))
    share = draw(st.floats(0.05, 1))
    ours = SecondMoment(count, history=history, uniform_share=share)
    naive = NaiveSecondMoment(count, history, share)
    rng = np.random.default_rng(draw(seeds))
    first = np.repeat(np.arange(count), history) if warm else np.empty(0, dtype=int)
    t = rng.permutation(np.concatenate([first, rng.integers(count, size=draw(st.integers(0, 60)))]))
    losses = rng.lognormal(sigma=1.5, size=len(t))
    for batch in np.array_split(np.arange(len(t)), 5):
        observed = torch.from_numpy(losses[batch])
        ours.observe(torch.from_numpy(t[batch].astype(np.int64)), observed)
        for step, loss in zip(t[batch], losses[batch], strict=True):
            naive.last[step].append(loss)
    return ours, naive


class TestImportanceSampling:
    @given(pair=learned(warm=True))
    def test_agrees_with_a_naive_implementation(
        self, pair: tuple[SecondMoment, NaiveSecondMoment]
    ) -> None:
        ours, naive = pair
        np.testing.assert_allclose(ours.probabilities(), naive.probabilities(), rtol=1e-12)

    @given(pair=learned(warm=False))
    def test_agrees_with_it_during_the_warm_up_too(
        self, pair: tuple[SecondMoment, NaiveSecondMoment]
    ) -> None:
        ours, naive = pair
        np.testing.assert_allclose(ours.probabilities(), naive.probabilities(), rtol=1e-12)

    @given(count=st.integers(2, 6), history=st.integers(1, 4), data=st.data())
    def test_stays_uniform_until_the_last_timestep_has_its_history(
        self, count: int, history: int, data: st.DataObject
    ) -> None:
        """However many losses the others have had."""
        sampler = SecondMoment(count, history=history, uniform_share=0.1)
        late = data.draw(st.integers(0, count - 1), label="late")
        others = [t for t in range(count) if t != late] * (history + 2)
        waiting = [*others, *[late] * (history - 1)]
        sampler.observe(torch.tensor(waiting), torch.arange(1, len(waiting) + 1).double())
        _, weights = sampler.draw(50, torch.Generator().manual_seed(0))
        assert sampler.probabilities().tolist() == [1 / count] * count
        close(weights, torch.ones(50).double())
        sampler.observe(torch.tensor([late]), torch.tensor([1000.0]).double())
        assert float(sampler.probabilities()[late]) == float(sampler.probabilities().max())
        assert float(sampler.probabilities()[late]) > 1 / count

    @given(pair=learned(warm=True), seed=seeds)
    def test_weights_undo_the_bias_exactly(
        self, pair: tuple[SecondMoment, NaiveSecondMoment], seed: int
    ) -> None:
        """The sum of p(t) · weight(t) · f(t) is the mean of f, for any f."""
        ours, naive = pair
        drawn, weights = ours.draw(4000, torch.Generator().manual_seed(seed))
        weight_of = dict(zip(drawn.tolist(), weights.tolist(), strict=True))
        likely, count = naive.probabilities(), ours.timesteps
        assert sorted(weight_of) == list(range(count))
        anything = np.random.default_rng(seed).normal(size=count)
        expected = sum(likely[t] * weight_of[t] * anything[t] for t in range(count))
        assert expected == pytest.approx(anything.mean(), abs=1e-12)

    @given(pair=learned(warm=True), seed=seeds)
    def test_draws_follow_the_probabilities(
        self, pair: tuple[SecondMoment, NaiveSecondMoment], seed: int
    ) -> None:
        ours, naive = pair
        drawn, _ = ours.draw(4000, torch.Generator().manual_seed(seed))
        counts = torch.bincount(drawn, minlength=ours.timesteps).numpy()
        assert chisquare(counts, 4000 * np.array(naive.probabilities())).pvalue > 1e-4

    @given(pair=learned(warm=None), seed=seeds)
    def test_a_restored_sampler_goes_on_the_same(
        self, pair: tuple[SecondMoment, NaiveSecondMoment], seed: int
    ) -> None:
        """Through a copy, as on disk: later losses of the one must not reach the other."""
        ours, naive = pair
        state = ours.state()
        restored = SecondMoment(ours.timesteps, history=naive.history, uniform_share=naive.share)
        restored.restore(state)
        ours.observe(torch.zeros(9, dtype=torch.int64), torch.full((9,), 99.0).double())
        late = SecondMoment(ours.timesteps, history=naive.history, uniform_share=naive.share)
        late.restore(state)
        for sampler in (restored, late):
            np.testing.assert_allclose(sampler.probabilities(), naive.probabilities(), rtol=1e-12)
        late.observe(torch.zeros(9, dtype=torch.int64), torch.full((9,), 99.0).double())
        for _ in range(3):
            draws = [s.draw(20, torch.Generator().manual_seed(seed)) for s in (ours, late)]
            assert torch.equal(draws[0][0], draws[1][0]) and torch.equal(draws[0][1], draws[1][1])
            for sampler, (t, weights) in zip((ours, late), draws, strict=True):
                sampler.observe(t, weights)
