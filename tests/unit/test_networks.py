"""Networks: shapes, what they may depend on, and a round trip through disk."""

from pathlib import Path

import pytest
import torch
from torch import nn

from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.denoisers import DENOISERS
from mnist_diffusion.runtime.errors import UserError

SIZES = {"channels": [8, 16], "blocks": 1, "patch": 2, "embedding": 16, "heads": 2}


def unet(**more: int) -> nn.Module:
    torch.manual_seed(0)
    network = checkpoint.build(DENOISERS, "unet", SIZES | more)
    for parameter in network.parameters():  # zeroed layers would hide every dependence
        nn.init.normal_(parameter, std=0.1)
    return network.eval()


def inputs(count: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(count, 1, 28, 28, generator=generator)
    return x, torch.tensor([10, 900][:count]), torch.tensor([3, -1][:count])


def test_the_sources_denoiser_has_the_sources_parameters() -> None:
    """Counted by hand from the source's layer list: 1 channel, embedding 32."""
    convolutions = (64 * 9 + 64) + (128 * 64 * 9 + 128) + (256 * 128 * 9 + 256)
    transposed = (288 * 128 * 16 + 128) + (256 * 64 * 16 + 64)
    time, last = (32 + 32) + (32 * 32 + 32), (128 * 9 + 1)
    network = checkpoint.build(DENOISERS, "simple", {"embedding": 32})
    assert sum(p.numel() for p in network.parameters()) == convolutions + transposed + time + last
    x, t, labels = inputs()
    assert network(x, t, labels).shape == x.shape
    assert torch.equal(network(x, t, labels), network(x, t, labels + 1))


@torch.no_grad()
def test_the_unet_depends_on_time_and_label() -> None:
    network = unet()
    x, t, labels = inputs()
    output = network(x, t, labels)
    assert output.shape == x.shape
    assert not torch.allclose(network(x, t + 50, labels)[0], output[0])
    other = network(x, t, torch.tensor([4, -1]))
    assert not torch.allclose(other[0], output[0])
    torch.testing.assert_close(other[1], output[1])


@pytest.mark.parametrize(("name", "channels"), [("unet", [8, 16]), ("unet", [8]), ("simple", [])])
@pytest.mark.parametrize(("inputs", "side"), [(4, 7), (8, 4), (2, 7)])
@torch.no_grad()
def test_denoisers_take_latents(name: str, channels: list[int], inputs: int, side: int) -> None:
    """A map of 7 is halved to 4, doubled to 8, and cut to 7; all of it still counts."""
    sizes = {**SIZES, "channels": channels, "patch": 1} if name == "unet" else {"embedding": 8}
    torch.manual_seed(0)
    network = checkpoint.build(DENOISERS, name, {**sizes, "inputs": inputs}).eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    x = torch.randn(1, inputs, side, side, generator=torch.Generator().manual_seed(1))
    t, labels = torch.tensor([10]), torch.tensor([3])
    output = network(x, t, labels)
    assert output.shape == x.shape
    for place in (0, side - 1):
        other = x.clone()
        other[0, :, place, place] += 1
        changed = network(other, t, labels)
        assert not torch.equal(changed[..., place, place], output[..., place, place])


def test_a_fresh_unet_predicts_zero() -> None:
    """Its last layer starts at zero, so that training starts from the best constant guess."""
    assert float(checkpoint.build(DENOISERS, "unet", SIZES)(*inputs()).abs().max()) == 0


@torch.no_grad()
def test_a_checkpoint_brings_the_network_back(tmp_path: Path) -> None:
    network = unet()
    config = {"network": {"name": "unet", "sizes": SIZES}, "run": {"prediction": "v"}}
    checkpoint.save(tmp_path, network, config)
    loaded, read = checkpoint.load(tmp_path, DENOISERS)
    assert read == config
    assert torch.equal(loaded(*inputs()), network(*inputs()))


@pytest.mark.parametrize("keep", [0, 7, 100, 5000])
def test_a_truncated_checkpoint_is_refused_in_one_line(tmp_path: Path, keep: int) -> None:
    checkpoint.save(tmp_path, unet(), {"network": {"name": "unet", "sizes": SIZES}})
    weights = tmp_path / checkpoint.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(UserError) as error:
        checkpoint.load(tmp_path, DENOISERS)
    assert "weights.safetensors" in str(error.value)
    assert "\n" not in str(error.value)
