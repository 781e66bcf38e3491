"""Networks on disk: safetensors and a JSON config, no pickle, enough to rebuild from alone."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialise
from torch import Tensor, nn

from mnist_diffusion.files.atomic import write_atomically
from mnist_diffusion.files.jsonfile import read_json, write_json
from mnist_diffusion.runtime.errors import UserError

WEIGHTS = "weights.safetensors"
CONFIG = "config.json"
SNAPSHOTS = "snapshots"
"""The folder beside them of weights as they were along training, <step>.safetensors."""

Networks = Mapping[str, Callable[..., nn.Module]]
"""A registry: builders, from sizes, by the name that a config has."""


def build(networks: Networks, name: str, sizes: dict[str, Any]) -> nn.Module:
    """A fresh network in channels_last, which convolutions on a CPU like best.

    Unconditional runs get the same network as class runs, and never a label: the same initial
    weights and size, so that the comparison is of conditioning alone.
    """
    network: nn.Module = networks[name](**sizes)
    return network.to(memory_format=torch.channels_last)


def weights(network: nn.Module) -> dict[str, Tensor]:
    """All parameters and buffers, on the CPU, contiguous; what digests are taken over."""
    return {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}


def save(folder: Path, network: nn.Module, config: dict[str, Any]) -> None:
    """Write weights and config; `config["network"]` holds `name` and `sizes`."""
    write_atomically(folder / WEIGHTS, serialise(weights(network)))
    write_json(folder / CONFIG, config)


def load(folder: Path, networks: Networks) -> tuple[nn.Module, dict[str, Any]]:
    """The network in evaluation mode, and its config; UserError if a file is not what it must be.

    Weights of another type than the network's are refused: cast, they would be other weights.
    """
    config = read_json(folder / CONFIG)
    try:
        network = build(networks, config["network"]["name"], config["network"]["sizes"])
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise _unusable(folder / CONFIG, f"names no network: {error!r}") from None
    load_weights(network, folder / WEIGHTS)
    return network.eval().requires_grad_(False), config


def load_weights(network: nn.Module, path: Path) -> None:
    """Put the weights in a file into a network, all of them; UserError if they do not fit."""
    try:
        tensors = load_file(path)
        network.load_state_dict(tensors)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise _unusable(path, str(error).splitlines()[0]) from None
    for name, there in network.state_dict().items():
        if tensors[name].dtype != there.dtype:
            raise _unusable(path, f"{name} is {tensors[name].dtype}, not {there.dtype}")


def snapshots(folder: Path) -> list[tuple[int, Path]]:
    """The weights that a run has kept along its training, by rising step, the final ones last."""
    return sorted((int(path.stem), path) for path in (folder / SNAPSHOTS).glob("*"))


def _unusable(path: Path, cause: str) -> UserError:
    return UserError(f"{path}: unusable ({cause}); delete it and run `dvc repro`")
