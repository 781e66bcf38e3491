"""The source document's own formulas and classes against ours.

What the document says in formulas is written down here in our words, and always held against the
product. Its code is not ours to publish: where its text is at hand, in a file that SOURCE_DOCUMENT
names, its classes and functions are run as they stand there, word for word.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mnist_diffusion.diffusion.forward import add_noise
from mnist_diffusion.diffusion.predictions import PREDICTIONS
from mnist_diffusion.diffusion.samplers import SAMPLERS
from mnist_diffusion.diffusion.schedules import SCHEDULES, Level
from mnist_diffusion.diffusion.spacings import levels
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.denoisers import DENOISERS

SHAPE = (2, 1, 4, 4)
DOCUMENT = os.environ.get("SOURCE_DOCUMENT")
BEGINNINGS = ("import ", "class ", "def ", "@")
verbatim = pytest.mark.skipif(
    not DOCUMENT, reason="the document is not ours to ship; name its text by SOURCE_DOCUMENT"
)


def noise_of(x: Tensor, t: Tensor | int) -> Tensor:
    """Some predicted noise, smooth and different at every timestep."""
    return 0.9 * torch.sin(x + torch.as_tensor(t).view(-1, 1, 1, 1) / 300)


def normal(seed: int, shape: tuple[int, ...] = SHAPE) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def ours(start: Tensor, noise: Callable[[], Tensor]) -> Tensor:
    """A thousand ancestral steps of the large variance, of an x0 that nothing holds."""
    read = PREDICTIONS["epsilon"].to_x0

    def denoise(x: Tensor, at: Level) -> Tensor:
        return read(noise_of(x, at.t), x, at)

    path = levels(SCHEDULES["linear"](1000), 1000, "trailing")
    *_, (end, _) = SAMPLERS["ddpm-large"](denoise, start, path, noise, 1.0)
    return end


def assert_near(mine: Tensor, theirs: Tensor, tolerance: float) -> None:
    assert float((mine - theirs).abs().max() / theirs.abs().max()) < tolerance


def test_its_formulas_are_the_linear_schedule_and_the_large_variance() -> None:
    """beta from 1e-4 to 0.02, x_t in closed form, and its update rule, noise but in the last."""
    beta = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    kept = torch.cumprod(1 - beta, dim=0)
    schedule = SCHEDULES["linear"](1000)
    torch.testing.assert_close(schedule.betas, beta, rtol=1e-14, atol=0)
    x0, noise = normal(1), normal(2)
    for t in (0, 400, 999):
        closed = kept[t].sqrt() * x0 + (1 - kept[t]).sqrt() * noise
        torch.testing.assert_close(add_noise(x0, noise, schedule.level(t)), closed)
    noises = normal(3, (999, *SHAPE))
    x, stream = x0, iter(noises)
    for t in range(999, -1, -1):
        drift = x - beta[t] / (1 - kept[t]).sqrt() * noise_of(x, t)
        x = drift / (1 - beta[t]).sqrt() + (beta[t].sqrt() * next(stream) if t else 0)
    again = iter(noises)
    assert_near(ours(x0, lambda: next(again)), x, 1e-8)


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return checkpoint.build(DENOISERS, "simple", {"embedding": 32})


def test_its_denoiser_is_three_convolutions_down_and_three_up() -> None:
    """Strides of 2, ReLU between, time by two linear layers, skips by concatenation."""
    built = network()
    weights = list(built.parameters())
    pairs = iter(zip(weights[::2], weights[1::2], strict=True))
    x, t = torch.randn(3, 1, 28, 28), torch.tensor([0, 77, 999])
    time = (t / 1000)[:, None]
    time = F.linear(F.gelu(F.linear(time, *next(pairs))), *next(pairs))
    fine = F.conv2d(x, *next(pairs), padding=1).relu()
    middle = F.conv2d(fine, *next(pairs), padding=1, stride=2).relu()
    coarse = F.conv2d(middle, *next(pairs), padding=1, stride=2).relu()
    up = torch.cat([coarse, time[:, :, None, None].expand(-1, -1, 7, 7)], dim=1)
    up = F.conv_transpose2d(up, *next(pairs), padding=1, stride=2).relu()
    up = F.conv_transpose2d(torch.cat([up, middle], 1), *next(pairs), padding=1, stride=2).relu()
    expected = F.conv2d(torch.cat([up, fine], 1), *next(pairs), padding=1)
    torch.testing.assert_close(built(x, t, t), expected)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The names that the document's own code defines."""
    assert DOCUMENT
    defined: dict[str, Any] = {}
    code = "\n".join(code_of(Path(DOCUMENT).read_text(encoding="utf-8")))
    exec(compile(code, DOCUMENT, "exec"), defined)
    return defined


def code_of(text: str) -> Iterator[str]:
    """The lines of code in a text: what begins like it, and all that is indented under it."""
    inside = False
    for line in text.splitlines():
        if line.startswith(BEGINNINGS):
            inside = True
        elif line and not line[0].isspace():
            inside = False
        if inside:
            yield line


@verbatim
def test_its_schedule_word_for_word(document: dict[str, Any]) -> None:
    """In float32, as it is written."""
    theirs, mine = document["DiffusionSchedule"](), SCHEDULES["linear"](1000)
    torch.testing.assert_close(mine.betas.float(), theirs.betas, rtol=1e-6, atol=0)
    x0, noise, t = normal(1).float(), normal(2).float(), torch.tensor([3, 700])
    noisy = add_noise(x0, noise, mine.level(t.view(-1, 1, 1, 1)))
    torch.testing.assert_close(noisy, theirs.add_noise(x0, t, noise), rtol=1e-4, atol=1e-5)


@verbatim
def test_its_denoiser_word_for_word(document: dict[str, Any]) -> None:
    """The same bits from the same weights, which it has in the same order."""
    mine, theirs = network(), document["SimpleDiffusion"]()
    theirs = theirs.to(memory_format=torch.channels_last)
    for to, of in zip(theirs.parameters(), mine.parameters(), strict=True):
        to.data.copy_(of.data)
    x, t = torch.randn(3, 1, 28, 28), torch.tensor([0, 77, 999])
    assert torch.equal(mine(x, t, t), theirs(x, t))


@verbatim
def test_its_sampling_loop_word_for_word(document: dict[str, Any]) -> None:
    """From one stream of noise, in float64, to which the schedule is made by torch's default."""
    torch.set_default_dtype(torch.float64)
    try:
        schedule = document["DiffusionSchedule"]()
        torch.manual_seed(5)
        theirs = document["sample"](noise_of, schedule, SHAPE)
        torch.manual_seed(5)
        mine = ours(torch.randn(SHAPE), lambda: torch.randn(SHAPE))
    finally:
        torch.set_default_dtype(torch.float32)
    assert_near(mine, theirs, 1e-8)


@verbatim
def test_its_loss_word_for_word(document: dict[str, Any]) -> None:
    """A step of its training, at a rate of Adam's own, moves a network along our gradient."""

    class One(torch.nn.Module):
        """A network of one number, so that the sign of the gradient is all there is."""

        def __init__(self) -> None:
            super().__init__()
            self.value = torch.nn.Parameter(torch.tensor(0.3))

        def forward(self, x: Tensor, t: Tensor) -> Tensor:
            self.seen, self.at = x.detach(), t
            return self.value * x

    learner, images = One(), normal(1).float()
    torch.manual_seed(7)
    document["train_diffusion"](learner, [(images,)], document["DiffusionSchedule"](), epochs=1)
    at = SCHEDULES["linear"](1000).level(learner.at.view(-1, 1, 1, 1))
    noise = (learner.seen - at.alpha.float() * images) / at.sigma.float()
    value = torch.tensor(0.3, requires_grad=True)
    (value * learner.seen - noise).square().mean().backward()
    assert learner.value.item() == pytest.approx(0.3 - 1e-4 * float(value.grad.sign()), abs=1e-6)
