"""Image k drawn in other company, by other threads: bit-equal

It keeps its place in a micro-batch of the same size; that is all it depends on.
"""

from collections.abc import Callable, Iterator
from random import Random

import pytest
import torch
from clones import Clone

from mnist_diffusion.runtime import threads as sharing
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.sampling.denoiser import TrainedDenoiser, load_denoiser
from mnist_diffusion.sampling.draw import draw, redraw
from mnist_diffusion.settings import Compute, ResolvedCell, SharedChoices, load_settings

pytestmark = pytest.mark.faults
CELLS = ["cosine-class-g2", "cosine-class-ddpm10", "source-uncond"]


class Drawn:
    """A cell of a trained run, and all its images as the stage draws them."""

    def __init__(self, clone: Clone, name: str, device: torch.device):
        self.cell: ResolvedCell = load_settings().cell(name)
        self.sample: SharedChoices = load_settings().sample
        self.denoiser: TrainedDenoiser = load_denoiser(
            clone.folder / f"models/{self.cell.run}", device
        )
        self.images = self.drawn()

    def drawn(self, count: int | None = None, skip: tuple[int, ...] = ()) -> torch.Tensor:
        cell = self.cell.model_copy(update={"count": count or self.cell.count})
        return torch.cat([b.images for b in draw(self.denoiser, cell, self.sample, skip=skip)])


@pytest.fixture(scope="module")
def on(trained: Clone) -> Iterator[Callable[[str, int], Drawn]]:
    """Draws a cell by so many threads, and then leaves torch as it was."""
    usual = torch.get_num_threads()
    made: dict[str, Drawn] = {}

    def start(name: str, threads: int) -> Drawn:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(trained.folder)
            patch.setenv(sharing.VARIABLE, str(threads))
            device = configure(Compute(device="cpu", instructions="avx2"))
            key = f"{name} {threads}"
            made[key] = made.get(key) or Drawn(trained, name, device)
        return made[key]

    yield start
    torch.set_num_threads(usual)
    torch.use_deterministic_algorithms(False)


@pytest.fixture(params=CELLS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("size", [1, 2, 5, 8, 32, 100])
def test_images_asked_for_in_any_order_so_many_at_a_time(name, size, threads, on) -> None:
    known = on(name, threads)
    order = [k % len(known.images) for k in range(100)]
    Random(size).shuffle(order)
    asked = order[: max(size, 10)]
    for first in range(0, len(asked), size):
        some = asked[first : first + size]
        again = redraw(known.denoiser, known.cell, known.sample, some)
        assert torch.equal(again, known.images[some])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("count", [1, 29, 30, 31, 59])
def test_the_first_of_fewer(name, count, threads, on) -> None:
    known = on(name, threads)
    assert torch.equal(known.drawn(count), known.images[:count])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("shards", [1, 2, 3])
def test_shards_of_whole_micro_batches(name, shards, threads, on) -> None:
    known = on(name, threads)
    firsts = range(0, known.cell.count, known.sample.micro_batch)
    for shard in range(shards):
        mine = [k for number, k in enumerate(firsts) if number % shards == shard]
        if mine:
            others = tuple(set(firsts) - set(mine))
            indices = [i for k in mine for i in range(k, k + known.sample.micro_batch)]
            wanted = known.images[[i for i in indices if i < known.cell.count]]
            assert torch.equal(known.drawn(skip=others), wanted)


def test_one_thread_and_two(name, on) -> None:
    assert torch.equal(on(name, 1).images, on(name, 2).images)
