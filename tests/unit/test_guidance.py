"""Guidance in the source's form, and what it costs."""

import torch
from torch import Tensor

from mnist_diffusion.diffusion.bounds import bounded
from mnist_diffusion.diffusion.guidance import guided, rescaled
from mnist_diffusion.diffusion.schedules import SCHEDULES, Level, zero_terminal_snr

AT = SCHEDULES["cosine"](1000).level(400)


class Counted:
    """A denoiser that counts its calls."""

    def __init__(self, factor: float):
        self.factor, self.calls = factor, 0

    def __call__(self, x: Tensor, at: Level) -> Tensor:
        self.calls += 1
        return self.factor * torch.tanh(x)


def images() -> Tensor:
    return torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_guidance_rests_where_there_is_no_signal() -> None:
    """sigma / alpha is infinite there, beyond every interval."""
    unconditional = Counted(0.2)
    at = zero_terminal_snr(SCHEDULES["cosine"](1000)).level(999)
    guided(Counted(0.5), unconditional, 4.0, interval=(0.0, 1e9))(images(), at)
    assert unconditional.calls == 0


def test_an_image_without_contrast_is_not_rescaled_and_the_others_are_as_alone() -> None:
    """A flat one has no contrast to bring back: diffusers divides by it (issue 13425)."""
    wide, plain = images() * 3, images()
    wide[1] = 0.5
    both = rescaled(wide, plain, 0.7)
    assert torch.equal(both[1], wide[1])
    for k in (0, 2):
        assert torch.equal(both[k], rescaled(wide[k : k + 1], plain[k : k + 1], 0.7)[0])


def test_bounds_come_after_guidance() -> None:
    over = guided(Counted(1.0), Counted(-1.0), 8.0)
    loose = over(images(), AT)
    assert torch.equal(bounded(over, "clip", 0.9)(images(), AT), loose.clamp(-1, 1))
    assert torch.equal(bounded(over, "none", 0.9)(images(), AT), loose)
