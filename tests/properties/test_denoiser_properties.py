"""Guidance and bounds: what they do to a denoiser, whatever it says."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    Counted,
    close,
    guidance_scales,
    images,
    noise_levels,
    seeds,
)

from mnist_diffusion.diffusion.bounds import X0_BOUNDS, bounded
from mnist_diffusion.diffusion.guidance import guided
from mnist_diffusion.diffusion.predictions import to_epsilon
from mnist_diffusion.diffusion.schedules import Level


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

    @given(seed=seeds, quantile=st.floats(0.05, 1))
    def test_images_in_range_stay_as_they_are(self, seed: int, quantile: float) -> None:
        x0 = images(seed)[0].tanh()
        for hold in X0_BOUNDS.values():
            assert torch.equal(hold(x0, quantile), x0)
