"""Guidance in the source's form, and what it costs."""

import torch
from torch import Tensor

from mnist_diffusion.diffusion.bounds import bounded
from mnist_diffusion.diffusion.guidance import guided, rescaled
from mnist_diffusion.diffusion.predictions import to_epsilon
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


def test_scale_0_and_1_are_exact_and_call_one_network_once() -> None:
    for scale, expected in ((0.0, "unconditional"), (1.0, "conditional")):
        networks = {"conditional": Counted(0.5), "unconditional": Counted(0.2)}
        denoise = guided(networks["conditional"], networks["unconditional"], scale)
        assert torch.equal(denoise(images(), AT), networks[expected].factor * torch.tanh(images()))
        assert sum(n.calls for n in networks.values()) == 1
        assert networks[expected].calls == 1


def test_guiding_x0_is_guiding_epsilon() -> None:
    """eps_u + s (eps_c - eps_u), written in epsilon as the source does."""
    conditional, unconditional, x = Counted(0.5), Counted(0.2), images()
    eps_c, eps_u = (to_epsilon(f(x, AT), x, AT) for f in (conditional, unconditional))
    conditional.calls = unconditional.calls = 0
    guided_x0 = guided(conditional, unconditional, 4.0)(x, AT)
    torch.testing.assert_close(to_epsilon(guided_x0, x, AT), eps_u + 4.0 * (eps_c - eps_u))
    assert (conditional.calls, unconditional.calls) == (1, 1)


def test_guidance_rests_outside_its_interval() -> None:
    conditional, unconditional, x = Counted(0.5), Counted(0.2), images()
    noise_to_signal = float(AT.sigma / AT.alpha)
    for interval, calls in (
        ((0.0, 0.9 * noise_to_signal), 0),
        ((1.1 * noise_to_signal, 100.0), 0),
        ((0.9 * noise_to_signal, 1.1 * noise_to_signal), 1),
    ):
        unconditional.calls = 0
        x0 = guided(conditional, unconditional, 4.0, interval=interval)(x, AT)
        assert unconditional.calls == calls
        assert torch.equal(x0, conditional(x, AT)) == (calls == 0)


def test_guidance_rests_where_there_is_no_signal() -> None:
    """sigma / alpha is infinite there, beyond every interval."""
    unconditional = Counted(0.2)
    at = zero_terminal_snr(SCHEDULES["cosine"](1000)).level(999)
    guided(Counted(0.5), unconditional, 4.0, interval=(0.0, 1e9))(images(), at)
    assert unconditional.calls == 0


def test_rescaling_brings_back_each_images_contrast() -> None:
    wide, plain = images() * torch.tensor([2.0, 3.0, 4.0]).view(3, 1, 1, 1), images()
    half = rescaled(wide, plain, 0.5).std(dim=(1, 2, 3))
    expected = 0.5 * wide.std(dim=(1, 2, 3)) + 0.5 * plain.std(dim=(1, 2, 3))
    torch.testing.assert_close(half, expected)
    torch.testing.assert_close(rescaled(wide, plain, 1.0), plain)


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


def test_dynamic_bound_scales_each_image_by_its_own_quantile() -> None:
    """Saharia et al. 2022: images within [-1, 1] are left alone, others are scaled, not cut."""
    over = torch.linspace(-4, 4, 101, dtype=torch.float64).view(1, 1, 101, 1)
    x = torch.cat([over, over / 8])
    bound = bounded(lambda x, at: x, "dynamic", 0.5)(x, AT)
    torch.testing.assert_close(bound[0], over[0].clamp(-2, 2) / 2)
    assert torch.equal(bound[1], x[1])
