"""A trained network as the denoiser that samplers ask for."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mnist_diffusion.diffusion.bounds import bounded
from mnist_diffusion.diffusion.guidance import Denoiser, guided
from mnist_diffusion.diffusion.predictions import PREDICTIONS
from mnist_diffusion.diffusion.schedules import Level, Schedule
from mnist_diffusion.files import paths
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.denoisers import DENOISERS
from mnist_diffusion.networks.students import STUDENTS, told
from mnist_diffusion.provenance.digests import arrays_digest
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.sampling.known import Known, load_known
from mnist_diffusion.sampling.space import PixelSpace, Space, load_space
from mnist_diffusion.sampling.wishes import LabelsAsked, Wishes, load_wishes
from mnist_diffusion.settings import ResolvedCell


@dataclass(frozen=True)
class Guide:
    """What a cell is guided away from: a network that knows less than the run's own."""

    early: bool
    """It has the weights of an earlier snapshot of the run."""
    labelled: bool
    """It is asked for the digit too, where one is asked for."""


GUIDES = {
    "label": Guide(early=False, labelled=False),
    "snapshot": Guide(early=True, labelled=True),
    "snapshot-unlabelled": Guide(early=True, labelled=False),
}


@dataclass(frozen=True)
class TrainedDenoiser:
    """A network with the schedule, prediction and space it was trained for, and how it is asked."""

    network: nn.Module
    schedule: Schedule
    prediction: str
    device: torch.device
    conditioning: str
    early: nn.Module | None = None
    """An earlier snapshot of it, for the cells that one guides."""
    space: Space = field(default_factory=PixelSpace)
    wishes: Wishes = field(default_factory=LabelsAsked)
    known: Known | None = None
    """Real halves, for the cells that draw but the other one."""
    student: bool = False
    """Whether the network is told how strongly to guide itself."""

    def asked(self, indices: Sequence[int], cell: ResolvedCell) -> Tensor:
        """What images of these indices are asked for, (n, …); nothing where the cell asks none."""
        asked = self.wishes(indices, cell.prompts)
        return asked if cell.asks(self.conditioning) else self._nothing_like(asked)

    def conditioned(self, asked: Tensor, cell: ResolvedCell) -> Denoiser:
        """A guided, bounded denoiser of what is asked for, (n, …), in the images' dtype.

        A guided step calls networks twice: that of the run, and its guide. One call of a doubled
        batch is no faster on a CPU, where one network is both: 0.8 to 1.1 times as fast at 25 to
        400 images. A student's step is one call.
        """
        asked = asked.to(self.device)
        if self.student:
            own = self._predict(self.network, told(asked, cell.guidance))
            return bounded(own, cell.x0_bound, cell.dynamic_quantile)
        guide, interval = GUIDES[cell.guide], cell.guidance_interval
        denoise = guided(
            self._predict(self.network, asked),
            self._predict(
                self.early if guide.early else self.network,
                asked if guide.labelled else self._nothing_like(asked),
            ),
            cell.guidance,
            interval=(interval[0], interval[1]) if interval else None,
            rescale=cell.guidance_rescale,
        )
        return bounded(denoise, cell.x0_bound, cell.dynamic_quantile)

    def _predict(self, network: nn.Module | None, asked: Tensor) -> Denoiser:
        prediction = PREDICTIONS[self.prediction]

        def denoise(x: Tensor, at: Level) -> Tensor:
            assert network is not None, "a snapshot guides, and none is loaded"
            x = x.contiguous(memory_format=torch.channels_last)
            output = network(x, at.t.to(self.device).expand(len(x)), asked)
            return prediction.to_x0(output, x, at)

        return denoise

    def _nothing_like(self, asked: Tensor) -> Tensor:
        return torch.full_like(asked, self.wishes.nothing)

    def weights_digests(self) -> dict[str, str]:
        """Of the network, its earlier snapshot where one is loaded, and what decodes and reads."""
        beside = {**self.space.networks, **self.wishes.networks}
        networks = {
            "weights_sha256": self.network,
            "guide_weights_sha256": self.early,
            **{f"{name}_sha256": network for name, network in beside.items()},
        }
        return {
            key: arrays_digest(checkpoint.weights(network))
            for key, network in networks.items()
            if network is not None
        }

    def counted(self) -> tuple[TrainedDenoiser, Counter]:
        """The same denoiser, and what counts the calls of its networks."""
        counter = Counter()
        early = _Counted(self.early, counter) if self.early is not None else None
        return replace(self, network=_Counted(self.network, counter), early=early), counter


def load_denoiser(
    folder: Path, device: torch.device, cell: ResolvedCell | None = None
) -> TrainedDenoiser:
    """The denoiser that a run or a student has published, with what guides `cell`.

    UserError if its weights are unusable, or there is no such snapshot.
    """
    network, config = checkpoint.load(folder, {**DENOISERS, **STUDENTS})
    schedule = Schedule(torch.from_numpy(np.load(folder / paths.BETAS, allow_pickle=False)))
    network, run = network.to(device), config["run"]
    early = cell is not None and GUIDES[cell.guide].early
    return TrainedDenoiser(
        network,
        schedule,
        run["prediction"],
        device,
        run["conditioning"],
        early=_early(network, folder, cell.guide_snapshot) if cell and early else None,
        space=load_space(folder, run["space"], device),
        wishes=load_wishes(folder, run["conditioning"], device),
        known=load_known(cell.inpaint) if cell and cell.inpaint != "none" else None,
        student="student" in config,
    )


def _early(network: nn.Module, folder: Path, number: int) -> nn.Module:
    """The network as it was at one of its snapshots, counted from 1."""
    kept = checkpoint.snapshots(folder)
    if number >= len(kept):
        raise UserError(
            f"{folder / checkpoint.SNAPSHOTS}: the last of {len(kept)} is the run itself, and "
            f"number {number} is none before; lower guide_snapshot, or run `dvc repro`"
        )
    early = deepcopy(network)
    checkpoint.load_weights(early, kept[number - 1][1])
    return early


class Counter:
    """Counts the calls of networks."""

    def __init__(self) -> None:
        self.calls = 0


class _Counted(nn.Module):
    """A network whose calls are counted."""

    def __init__(self, network: nn.Module, counter: Counter):
        super().__init__()
        self.network, self.counter = network, counter

    def forward(self, x: Tensor, t: Tensor, asked: Tensor) -> Tensor:
        """Like the network's own."""
        self.counter.calls += 1
        output: Tensor = self.network(x, t, asked)
        return output
