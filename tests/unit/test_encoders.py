"""Text and image encoders: unit vectors that depend on what is there, and on nothing beside it."""

import pytest
import torch
from torch import Tensor, nn

from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.encoders import ENCODERS, Clip
from mnist_diffusion.runtime.seeds import seeded

LENGTH = 6
TEXT = {"tokens": 12, "length": LENGTH, "padding": 0, "width": 16, "layers": 2, "heads": 4}
SIZES = {"text": TEXT, "image": {"channels": [8, 8, 16]}, "vector": 8}
TOKENS = torch.tensor([[3, 4, 2, 0, 0, 0], [5, 6, 7, 8, 9, 2], [3, 4, 5, 2, 0, 0]])


def clip() -> Clip:
    network = seeded(lambda: checkpoint.build(ENCODERS, "clip", SIZES), seed=1)
    assert isinstance(network, Clip)
    return network


def images(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 1, 28, 28, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def test_vectors_have_length_one() -> None:
    network = clip()
    for vectors in (network.text(TOKENS), network.image(images(3))):
        assert vectors.shape == (3, 8)
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))


@torch.no_grad()
def test_logits_are_scaled_similarities() -> None:
    network = clip()
    text, image = network.text(TOKENS), network.image(images(5))
    expected = [[float(t @ i) * 10 - 5 for i in image] for t in text]
    torch.testing.assert_close(network(TOKENS, images(5)), torch.tensor(expected))


@torch.no_grad()
def test_padding_says_nothing_and_all_else_does() -> None:
    network = clip()
    vectors = network.text(TOKENS)
    nn.init.normal_(network.text.words.weight[0])  # of padding
    torch.testing.assert_close(network.text(TOKENS), vectors)
    for place in range(3):
        other = TOKENS.clone()
        other[0, place] = 11
        assert not torch.allclose(network.text(other)[0], vectors[0])
    swapped = TOKENS.clone()
    swapped[0, :2] = TOKENS[0, :2].flip(0)
    assert not torch.allclose(network.text(swapped)[0], vectors[0])


@pytest.mark.parametrize("training", [False, True])
@torch.no_grad()
def test_a_caption_and_a_digit_are_read_alone(training: bool) -> None:
    """Whatever stands beside them in a batch of the same shape, and in training as in use."""
    network = clip().train(training)
    others = TOKENS.flip(0)[[0, 1, 1]]
    beside = torch.cat([TOKENS[:1], others[1:]])
    assert torch.equal(network.text(TOKENS)[0], network.text(beside)[0])
    digits = torch.cat([images(1), images(2, seed=5)])
    assert torch.equal(network.image(images(3))[0], network.image(digits)[0])
    used = clip().eval()
    assert torch.equal(network.text(TOKENS), used.text(TOKENS))


def test_gradients_reach_every_weight() -> None:
    network = clip()
    network(TOKENS, images(3)).square().sum().backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None]
    assert silent == []
