"""Sets that are not what their manifests say, drawn where kernels may round otherwise.

In a folder with a finished run, `python …/tests/unit/forgeries.py [CELL …]` draws four images of
each cell as declared and as forged, with the kernels that the environment asks for, and prints how
far each is from what is stored: as an audit elsewhere would find them.
"""

import json
import sys
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from mnist_diffusion.audit.rounding import DoublePrecision, reached, within_bounds
from mnist_diffusion.dataset.pixels import to_uint8
from mnist_diffusion.files import paths
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.sampling.denoiser import TrainedDenoiser, load_denoiser
from mnist_diffusion.sampling.draw import redraw
from mnist_diffusion.settings import Compute, ResolvedCell, SharedSampling

COUNT = 4
STEPS_EARLIER = 20
NUDGE = 1e-3
"""The size of a random change of weights, relative to each weight's spread."""
OTHER_SAMPLER = {"dpm-solver-2": "ddim", "ddim": "dpm-solver-2", "heun": "ddim"}


class Cell:
    """A cell of the run in this folder, and how its first images are drawn."""

    def __init__(self, name: str, count: int = COUNT):
        self.name = name
        parameters = json.loads((paths.samples(name) / "manifest.json").read_text())["parameters"]
        self.cell = ResolvedCell.model_validate(parameters["cell"])
        shared = SharedSampling.model_validate(parameters["sample"])
        self.sample = shared.model_copy(update={"micro_batch": count})
        self.steps = parameters["training"]["recipe"]["steps"]
        self.indices = range(count)
        self.denoiser = self._of(self.cell.run)

    def stored(self) -> NDArray[np.uint8]:
        images: NDArray[np.uint8] = np.load(paths.samples(self.name) / "images.npy")
        return images[: len(self.indices)]

    def drawn(
        self, denoiser: TrainedDenoiser | None = None, seed: int = 0, **changed: object
    ) -> torch.Tensor:
        """As declared, but for what is changed."""
        cell = ResolvedCell.model_validate(self.cell.model_dump() | changed)
        sample = self.sample.model_copy(update={"seed": self.sample.seed + seed})
        return redraw(denoiser or self.denoiser, cell, sample, self.indices)

    def forgeries(self, others: list[str]) -> Iterator[tuple[str, Callable[[], torch.Tensor]]]:
        """What might be given out as this cell, each by a word."""
        cell = self.cell
        if cell.guidance > 0:
            less = round(cell.guidance - 0.01, 2)
            yield f"guidance {less:g}", partial(self.drawn, guidance=less)
        yield f"{cell.steps + 1} steps", partial(self.drawn, steps=cell.steps + 1)
        yield "another seed", partial(self.drawn, seed=1)
        if other := OTHER_SAMPLER.get(cell.sampler):
            yield other, partial(self.drawn, sampler=other, eta=0.0)
        else:
            yield "eta 0.99", partial(self.drawn, sampler="ddim", eta=0.99)
        for run in others:
            yield f"weights of {run}", partial(self.drawn, self._of(run))
        if len(checkpoint.snapshots(paths.model(cell.run))) > 1:
            yield f"{STEPS_EARLIER} steps earlier", partial(self.drawn, self._earlier())
        yield f"weights nudged by {NUDGE}", partial(self.drawn, self._nudged())

    def _of(self, run: str) -> TrainedDenoiser:
        return load_denoiser(paths.model(run), torch.device("cpu"), self.cell)

    def _earlier(self) -> TrainedDenoiser:
        """On the straight line from the last snapshot but one, which is further back."""
        denoiser, earlier = self._of(self.cell.run), self._of(self.cell.run)
        step, file = checkpoint.snapshots(paths.model(self.cell.run))[-2]
        checkpoint.load_weights(earlier.network, file)
        share = min(1.0, STEPS_EARLIER / (self.steps - step))
        with torch.no_grad():
            for now, then in zip(
                denoiser.network.parameters(), earlier.network.parameters(), strict=True
            ):
                now.lerp_(then, share)
        return denoiser

    def _nudged(self) -> TrainedDenoiser:
        denoiser = self._of(self.cell.run)
        source = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for weight in denoiser.network.parameters():
                noise = torch.randn(weight.shape, generator=source)
                weight.add_(noise * weight.square().mean().sqrt() * NUDGE)
        return denoiser


def apart(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.int16]:
    return np.abs(one.astype(np.int16) - other.astype(np.int16))


def main(names: list[str], others: list[str]) -> None:
    configure(Compute(device="cpu", instructions="native"))
    for name in names:
        cell = Cell(name)
        honest = cell.drawn()
        with DoublePrecision():
            exact = cell.drawn()
        every = {"honest": cell.stored()}
        kin = [run for run in others if run != cell.cell.run]
        every |= {word: to_uint8(draw()) for word, draw in cell.forgeries(kin)}
        for word, images in every.items():
            off = apart(to_uint8(honest), images)
            near = f"{reached(images, honest, exact).sum()} of {len(images)} reached"
            told = "within" if within_bounds(off) else f"beyond, {near}"
            row = (name, word, off.max(), f"{(off > 0).mean():.5f}", told)
            sys.stdout.write("\t".join(map(str, row)) + "\n")


if __name__ == "__main__":
    split = sys.argv.index("--others") if "--others" in sys.argv else len(sys.argv)
    main(sys.argv[1:split], sys.argv[split + 1 :])
