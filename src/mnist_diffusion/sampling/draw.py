"""Drawing a sample set: image k is the same whatever n, the order, or the images beside it."""

from collections import deque
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from mnist_diffusion.diffusion.samplers import SAMPLERS
from mnist_diffusion.diffusion.spacings import levels
from mnist_diffusion.runtime.seeds import PerImageNoise
from mnist_diffusion.runtime.threads import parallel_map
from mnist_diffusion.sampling.denoiser import TrainedDenoiser
from mnist_diffusion.sampling.space import Space
from mnist_diffusion.settings import ResolvedCell, SharedSampling

FRAMES = 21
"""A trajectory keeps the noise and this many states after it at the most."""


@dataclass(frozen=True)
class MicroBatch:
    """Consecutive images of a sample set."""

    first: int
    images: Tensor
    """(n, 1, 28, 28), in [-1, 1] where pixels were drawn."""
    trajectory: Tensor
    """(frames, trajectory images of this batch, 28, 28), from noise to image."""
    evaluations: int
    """Calls of the network, counted: what each of the images cost."""


def trajectory_steps(steps: int) -> list[int]:
    """Which states a trajectory keeps, counted in steps done: 0 is the noise, `steps` the image."""
    return sorted({round(k) for k in np.linspace(0, steps, min(steps + 1, FRAMES))})


def draw(
    denoiser: TrainedDenoiser, cell: ResolvedCell, sample: SharedSampling, skip: Container[int] = ()
) -> Iterator[MicroBatch]:
    """Yield the images of a cell, `sample.micro_batch` at a time, but those to `skip`.

    Every network call has the same shape: the last batch is padded with further images, which are
    then thrown away, because kernels may round differently for other shapes.
    """
    firsts = [k for k in range(0, cell.count, sample.micro_batch) if k not in skip]
    return parallel_map(partial(_micro_batch, denoiser, cell, sample), firsts, denoiser.device)


@torch.inference_mode()
def _micro_batch(
    denoiser: TrainedDenoiser, cell: ResolvedCell, sample: SharedSampling, first: int
) -> MicroBatch:
    wanted = min(sample.micro_batch, cell.count - first)
    followed = max(0, min(sample.trajectory_images - first, wanted))
    indices = range(first, first + sample.micro_batch)
    counted, counter = denoiser.counted()
    states = _walk(counted, cell, sample, indices)
    kept = trajectory_steps(cell.steps)
    frames = []
    for step, x in enumerate(states):
        if step in kept:
            frames.append(_shown(denoiser.space, x, followed))
    images = denoiser.space.decoded(x)[:wanted].cpu()
    return MicroBatch(first, images, torch.stack(frames), counter.calls)


def _shown(space: Space, x: Tensor, count: int) -> Tensor:
    """The first of some states as images, (count, 28, 28); all are decoded, in one shape."""
    return space.decoded(x)[:count, 0].cpu() if count else torch.zeros(0, 28, 28)


@torch.inference_mode()
def redraw(
    denoiser: TrainedDenoiser, cell: ResolvedCell, sample: SharedSampling, indices: Sequence[int]
) -> Tensor:
    """Images of one or more indices in this order, (n, 1, 28, 28), bit-equal to those of `draw`.

    An image keeps its place in a batch of the same shape, for kernels may round differently at
    another place; beside whom it stands does not matter.
    """
    drawn: dict[int, Tensor] = {}
    while waiting := set(indices) - drawn.keys():
        asked = {index % sample.micro_batch: index for index in waiting}
        batch = [asked.get(place, place) for place in range(sample.micro_batch)]
        states = _walk(denoiser, cell, sample, batch)
        images = denoiser.space.decoded(deque(states, maxlen=1).pop()).cpu()
        drawn |= {index: images[place] for place, index in asked.items()}
    return torch.stack([drawn[index] for index in indices])


def _walk(
    denoiser: TrainedDenoiser,
    cell: ResolvedCell,
    sample: SharedSampling,
    indices: Sequence[int],
) -> Iterator[Tensor]:
    """The states of one micro-batch, the starting noise first."""
    x = start(denoiser, sample.seed, indices)
    yield x
    for x, _ in walk(denoiser, cell, sample.seed, indices, x):
        yield x


def start(denoiser: TrainedDenoiser, seed: int, indices: Sequence[int]) -> Tensor:
    """The noise that images of these indices begin as, (n, *the space's shape)."""
    return PerImageNoise(seed, "sample/start", indices, denoiser.space.shape)().to(denoiser.device)


def walk(
    denoiser: TrainedDenoiser, cell: ResolvedCell, seed: int, indices: Sequence[int], x: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """The way from there: after every step x, and the x0 that the denoiser took it for."""
    draw_noise = PerImageNoise(seed, "sample/steps", indices, denoiser.space.shape)
    denoise = denoiser.conditioned(denoiser.asked(indices, cell), cell)
    if denoiser.known:
        denoise = denoiser.known.put_in(denoise, indices, x)
    path = levels(denoiser.schedule, cell.steps, cell.spacing)
    sampler = SAMPLERS[cell.sampler]
    return sampler(denoise, x, path, lambda: draw_noise().to(denoiser.device), cell.eta)
