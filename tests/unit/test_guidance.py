"""Guidance in the source's form, and what it costs."""

import torch
from torch import Tensor

from mnist_diffusion.diffusion.guidance import clipped, guidance_evaluations, guided
from mnist_diffusion.diffusion.predictions import to_epsilon
from mnist_diffusion.diffusion.schedules import SCHEDULES, Level

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
        assert sum(n.calls for n in networks.values()) == guidance_evaluations(scale)
        assert networks[expected].calls == 1


def test_guiding_x0_is_guiding_epsilon() -> None:
    """eps_u + s (eps_c - eps_u), written in epsilon as the source does."""
    conditional, unconditional, x = Counted(0.5), Counted(0.2), images()
    eps_c, eps_u = (to_epsilon(f(x, AT), x, AT) for f in (conditional, unconditional))
    conditional.calls = unconditional.calls = 0
    guided_x0 = guided(conditional, unconditional, 4.0)(x, AT)
    torch.testing.assert_close(to_epsilon(guided_x0, x, AT), eps_u + 4.0 * (eps_c - eps_u))
    assert conditional.calls + unconditional.calls == guidance_evaluations(4.0)


def test_clipping_comes_after_guidance() -> None:
    denoise = clipped(guided(Counted(1.0), Counted(-1.0), 8.0))
    assert float(denoise(images(), AT).abs().max()) == 1.0
