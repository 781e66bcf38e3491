"""Importance sampling of timesteps: unbiased, and the same as a naive one."""

from collections import deque

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from scipy.stats import chisquare
from strategies import (
    close,
    seeds,
)

from mnist_diffusion.diffusion.schedules import SCHEDULES
from mnist_diffusion.diffusion.timesteps import SecondMoment

cosine = SCHEDULES["cosine"]
"""Of which only the number of timesteps counts here."""


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
    ours = SecondMoment(cosine(count), history=history, uniform_share=share)
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
    @given(pair=learned(warm=True) | learned(warm=False))
    def test_agrees_with_a_naive_implementation_during_the_warm_up_too(
        self, pair: tuple[SecondMoment, NaiveSecondMoment]
    ) -> None:
        ours, naive = pair
        np.testing.assert_allclose(ours.probabilities(), naive.probabilities(), rtol=1e-12)

    @given(count=st.integers(2, 6), history=st.integers(1, 4), data=st.data())
    def test_stays_uniform_until_the_last_timestep_has_its_history(
        self, count: int, history: int, data: st.DataObject
    ) -> None:
        """However many losses the others have had."""
        sampler = SecondMoment(cosine(count), history=history, uniform_share=0.1)
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
        restored = SecondMoment(
            cosine(ours.timesteps), history=naive.history, uniform_share=naive.share
        )
        restored.restore(state)
        ours.observe(torch.zeros(9, dtype=torch.int64), torch.full((9,), 99.0).double())
        late = SecondMoment(
            cosine(ours.timesteps), history=naive.history, uniform_share=naive.share
        )
        late.restore(state)
        for sampler in (restored, late):
            np.testing.assert_allclose(sampler.probabilities(), naive.probabilities(), rtol=1e-12)
        late.observe(torch.zeros(9, dtype=torch.int64), torch.full((9,), 99.0).double())
        for _ in range(3):
            draws = [s.draw(20, torch.Generator().manual_seed(seed)) for s in (ours, late)]
            assert torch.equal(draws[0][0], draws[1][0]) and torch.equal(draws[0][1], draws[1][1])
            for sampler, (t, weights) in zip((ours, late), draws, strict=True):
                sampler.observe(t, weights)
