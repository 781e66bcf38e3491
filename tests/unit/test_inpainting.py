"""Halves of real digits: what is known stays, whatever draws the rest, and where they meet."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_sampling import SAMPLE, cell, denoiser
from torch import Tensor

from mnist_diffusion.diffusion.inpainting import inpainted
from mnist_diffusion.diffusion.samplers import SAMPLERS
from mnist_diffusion.diffusion.schedules import SCHEDULES
from mnist_diffusion.diffusion.spacings import levels
from mnist_diffusion.evaluation.seams import jumps
from mnist_diffusion.sampling import known
from mnist_diffusion.sampling.draw import draw, redraw
from mnist_diffusion.sampling.known import DRAWN, Known, known_half, load_known


def digits(count: int = 40) -> SimpleNamespace:
    """Random ones, of labels in no order."""
    randomness = np.random.default_rng(0)
    images = randomness.integers(0, 256, (count, 28, 28), dtype=np.uint8)
    return SimpleNamespace(images=images, labels=randomness.permutation(np.arange(count) % 10))


@pytest.fixture
def halves(monkeypatch: pytest.MonkeyPatch) -> Known:
    split = digits()
    monkeypatch.setattr(known, "load_split", lambda name: (split.images, split.labels))
    return load_known("right")


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpm-solver-2", "heun"])
@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_what_is_known_is_there_and_the_rest_is_drawn(
    halves: Known, sampler: str, guidance: float
) -> None:
    of, trained = cell(sampler, guidance, inpaint="right"), replace(denoiser(), known=halves)
    drawn = torch.cat([batch.images for batch in draw(trained, of, SAMPLE)])
    real = halves.of(range(12))
    torch.testing.assert_close(drawn[..., :14], real[..., :14], atol=1e-5, rtol=0)
    plain = torch.cat([b.images for b in draw(denoiser(), cell(sampler, guidance), SAMPLE)])
    assert not torch.allclose(drawn[..., 14:], real[..., 14:], atol=0.1)
    assert not torch.equal(drawn[..., 14:], plain[..., 14:])
    assert torch.equal(redraw(trained, of, SAMPLE, [7, 2]), drawn[[7, 2]])


def test_known_halves_are_of_the_digit_asked_for_and_of_one_after_another(halves: Known) -> None:
    split = digits()
    own = {image.tobytes(): label for image, label in zip(split.images, split.labels, strict=True)}
    shown = halves.of(range(40))
    found = [
        own[image.tobytes()]
        for image in np.asarray(shown[:, 0].add(1).mul(127.5).round()).astype(np.uint8)
    ]
    assert found == [k % 10 for k in range(40)]
    assert len({image.tobytes() for image in np.asarray(shown)}) == 40
    assert torch.equal(halves.of([43]), halves.of([3]))  # there are but four of each
    assert torch.equal(halves.of([17, 5])[1], halves.of([5])[0])


def test_a_solver_takes_what_is_known_along_its_own_path() -> None:
    """In noise of its own at each level, exactly: DDIM draws a straight line to a given x0."""
    schedule, where = SCHEDULES["cosine"](1000), torch.arange(28) < 14
    random = torch.Generator().manual_seed(0)
    real, noise = (torch.randn(3, 1, 28, 28, generator=random).double() for _ in range(2))
    at = levels(schedule, 10, "trailing")
    seen: list[Tensor] = []

    def nothing(x: Tensor, level: object) -> Tensor:
        seen.append(x)
        return torch.zeros_like(x)

    start = torch.where(where, at[0].alpha * real + at[0].sigma * noise, noise)
    steps = SAMPLERS["ddim"](inpainted(nothing, real, where, noise), start, at, lambda: noise, 0.0)
    for (x, x0), level in zip(steps, at[1:], strict=True):
        expected = level.alpha * real + level.sigma * noise
        torch.testing.assert_close(x[..., :14], expected[..., :14], atol=1e-9, rtol=0)
        assert torch.equal(x0[..., :14], real[..., :14])
        assert not x0[..., 14:].any()
    assert len(seen) == 10


def test_where_nothing_is_known_nothing_changes() -> None:
    random = torch.Generator().manual_seed(0)
    x, real, noise = (torch.randn(2, 1, 28, 28, generator=random) for _ in range(3))
    level = SCHEDULES["cosine"](1000).level(torch.tensor(400))
    nowhere = torch.zeros(28, 28, dtype=torch.bool)
    assert torch.equal(inpainted(lambda x, _: 2 * x, real, nowhere, noise)(x, level), 2 * x)


@pytest.mark.parametrize("drawn", DRAWN)
def test_a_half_is_a_half(drawn: str) -> None:
    where = known_half(drawn)
    assert int(where.sum()) == 14 * 28
    sides = {"left": where[:, 0], "right": where[:, -1], "upper": where[0], "lower": where[-1]}
    assert [name for name, side in sides.items() if not side.any()] == [drawn]


@pytest.mark.parametrize("drawn", DRAWN)
def test_a_step_across_the_edge_is_counted_by_hand(drawn: str) -> None:
    where = known_half(drawn).numpy()
    plain = np.where(where, 255, 0).astype(np.uint8)
    smooth = np.full((28, 28), 77, dtype=np.uint8)
    away = np.zeros((28, 28), dtype=np.uint8)
    away[:3, :3] = 255
    found = jumps(np.stack([plain, smooth, away]), drawn)
    assert found.tolist() == [1.0, 0.0, 0.0]
    half = plain.copy()
    half[:14, :14] = half[14:, 14:] = 0
    assert 0.4 < jumps(half[None], drawn)[0] < 0.6
