"""Averaged weights along training: at the steps asked for, as they were then."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from mnist_diffusion.networks.checkpoint import SNAPSHOTS, snapshots
from mnist_diffusion.training.optim import ExponentialAverage
from mnist_diffusion.training.run_state import Snapshots


def trained(steps: int, count: int) -> tuple[Snapshots, nn.Linear]:
    """A network whose only weight is the number of steps done; nothing is averaged."""
    network = nn.Linear(1, 1, bias=False).requires_grad_(False)
    average = ExponentialAverage(network, 0.0)
    taken = Snapshots(network, average, steps, count)
    for step in range(1, steps + 1):
        network.weight.fill_(step)
        average.update()
        taken.take(step)
    return taken, network


def written(taken: Snapshots, folder: Path) -> dict[str, float]:
    taken.write(folder)
    files = (folder / SNAPSHOTS).iterdir()
    return {path.stem: float(load_file(path)["weight"]) for path in files}


def test_each_holds_the_weights_of_its_own_step(tmp_path: Path) -> None:
    taken, _ = trained(steps=10, count=4)
    assert written(taken, tmp_path) == {"2": 2.0, "5": 5.0, "8": 8.0, "10": 10.0}


def test_they_are_found_by_rising_step_not_by_name(tmp_path: Path) -> None:
    taken, _ = trained(steps=120, count=4)
    taken.write(tmp_path)
    assert [step for step, _ in snapshots(tmp_path)] == [30, 60, 90, 120]
    assert all(int(path.stem) == step for step, path in snapshots(tmp_path))
    assert snapshots(tmp_path / "nowhere") == []


def test_more_than_there_are_steps_keep_every_step_once(tmp_path: Path) -> None:
    taken, _ = trained(steps=3, count=9)
    assert written(taken, tmp_path) == {"1": 1.0, "2": 2.0, "3": 3.0}


def test_names_with_dots_come_back(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    taken = Snapshots(network, ExponentialAverage(network, 0.5), 1, 1)
    taken.take(1)
    taken.write(tmp_path)
    tensors = load_file(tmp_path / SNAPSHOTS / "1.safetensors")
    expected = dict(network.named_parameters())
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[name], expected[name]) for name in tensors)
