"""Training that is put aside and taken up again, in the same process, is as if it never stopped."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from pathlib import Path

import pytest
import torch
from test_training import CPU, RECIPE, RUN, SIZES, objective
from torch import Tensor

from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.denoisers import DENOISERS
from mnist_diffusion.provenance.digests import array_digest
from mnist_diffusion.runtime.resumption import Resumption
from mnist_diffusion.runtime.seeds import seeded
from mnist_diffusion.settings import Recipe
from mnist_diffusion.training import learner
from mnist_diffusion.training.denoising import Denoising
from mnist_diffusion.training.learner import Learner, with_checkpoints
from mnist_diffusion.training.loop import Step, build_optimizers, fit
from mnist_diffusion.training.optim import ExponentialAverage
from mnist_diffusion.training.run_state import History, RunState, Snapshots

pytestmark = pytest.mark.usefixtures("in_tmp_path")

STEPS, STOP = 11, 7
"""The stop is within a window of the history and within an epoch of four."""
EVERY = 3
SNAPSHOTS = 3
IMPORTANCE = RUN.model_copy(update={"timestep_sampling": "importance"})
MUON = RECIPE.model_copy(update={"steps": STEPS})
ADAM = MUON.model_copy(update={"optimizer": "adam", "muon_learning_rate": None})


@dataclass
class Trainee:
    """A denoiser in training by importance sampling that has seen every timestep already."""

    recipe: Recipe
    objective: Denoising
    training: RunState

    @classmethod
    def fresh(cls, recipe: Recipe, device: torch.device = CPU) -> "Trainee":
        network = seeded(lambda: checkpoint.build(DENOISERS, "unet", SIZES), seed=0).to(device)
        task = objective(IMPORTANCE, device=device)
        task.timesteps.observe(torch.arange(1000), torch.linspace(0, 2, 1000))
        average, history = ExponentialAverage(network, 0.9), History(1000, 16, EVERY)
        optimizers = build_optimizers(network, recipe)
        snapshots = Snapshots(network, average, STEPS, SNAPSHOTS)
        trained = Learner(network, optimizers, average)
        training = RunState(trained, task.timesteps, history, snapshots)
        return cls(recipe, task, training)

    def steps(self, start: int = 0) -> Iterator[Step]:
        t = self.training.learner
        return fit(t.network, self.objective, self.recipe, t.average, t.optimizers, start)

    def train(self, resumption: Resumption, start: int = 0, stop: int = STEPS) -> None:
        list(islice(with_checkpoints(self.steps(start), self.training, resumption), stop - start))

    def published(self) -> tuple[dict[str, str], object]:
        """All that moves, and the history as it would be written."""
        tensors, facts = self.training.state(STEPS)
        return {name: array_digest(tensor) for name, tensor in tensors.items()}, facts

    def written(self, folder: Path, name: str) -> bytes:
        self.training.history.write(folder)
        return (folder / name).read_bytes()

    def layouts(self) -> dict[str, tuple[int, ...]]:
        return {name: t.stride() for name, t in self.training.state(0)[0].items()}


@pytest.mark.parametrize("recipe", [MUON, ADAM], ids=["muon", "adam"])
def test_it_goes_on_as_if_it_had_never_stopped(recipe: Recipe, tmp_path: Path) -> None:
    whole, stopped, resumed = (Trainee.fresh(recipe) for _ in range(3))
    kept = Resumption("train@test", "a" * 64)
    whole.train(kept)
    stopped.train(kept, stop=STOP)
    kept.save(*stopped.training.state(STOP))
    found = kept.load()
    assert found is not None
    assert resumed.training.restore(*found) == STOP
    assert resumed.published() == stopped.published()
    assert resumed.layouts() == stopped.layouts()
    resumed.train(kept, start=STOP)
    assert resumed.published() == whole.published()
    for name in ("history.csv", "loss_by_timestep.csv"):
        assert resumed.written(tmp_path, name) == whole.written(tmp_path, name)


def test_nothing_draws_from_the_global_generator() -> None:
    """Which is no part of the state: all randomness is derived from seed, purpose and step."""
    before = torch.get_rng_state()
    trainee = Trainee.fresh(MUON)
    trainee.train(Resumption("train@test", "a" * 64))
    assert torch.equal(torch.get_rng_state(), before)


class Clock:
    """Time that passes in steps and saves alone."""

    def __init__(self, step: float, save: float):
        self.now, self._step, self._save = 0.0, step, save
        self.saved_at: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def steps(self, count: int) -> Iterator[Step]:
        for step in range(1, count + 1):
            self.now += self._step
            yield Step(step, 0.1, 0.1, 0.1, torch.zeros(1, 2))

    def save(self, tensors: dict[str, Tensor], facts: dict[str, object], part: int = 0) -> None:
        self.saved_at.append(self.now)
        self.now += self._save


@pytest.mark.parametrize(("save", "between"), [(0.06, 15.0), (2.0, 100.0)])
def test_saving_takes_two_percent_of_the_time_at_the_most(
    save: float, between: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(step=0.5, save=save)
    monkeypatch.setattr(learner, "time", clock)
    training = replace(Trainee.fresh(MUON).training, history=History(1000, 1, 20))
    for _ in with_checkpoints(clock.steps(1000), training, clock):  # type: ignore[arg-type]
        pass
    gaps = [later - earlier - save for earlier, later in pairwise(clock.saved_at)]
    assert clock.saved_at[0] == learner.SAVE_EVERY_SECONDS
    assert all(between <= gap <= between + 0.5 + 1e-6 for gap in gaps)
    assert save * len(clock.saved_at) <= 0.02 * clock.now + save
    assert math.isclose(learner.SAVE_SHARE, 0.02)
