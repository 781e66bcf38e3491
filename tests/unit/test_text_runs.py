"""Runs that are asked in words: what they are told, and what comes of it."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from test_encoders import TEXT
from test_networks import unet
from test_sampling import SAMPLE, cell
from torch import Tensor, nn

from mnist_diffusion.dataset import grammar
from mnist_diffusion.dataset.attributes import Attributes
from mnist_diffusion.dataset.levels import LEVELS, NOTHING, Bands, Corners, obeyed
from mnist_diffusion.dataset.prompts import understand
from mnist_diffusion.diffusion.schedules import SCHEDULES
from mnist_diffusion.evaluation.adherence import kept_looks, means_of_real, scores
from mnist_diffusion.networks.encoders import TextEncoder
from mnist_diffusion.runtime.seeds import seeded
from mnist_diffusion.sampling.denoiser import TrainedDenoiser
from mnist_diffusion.sampling.draw import draw, redraw
from mnist_diffusion.sampling.wishes import (
    GRID,
    PROMPTS,
    PromptsAsked,
    asked_for,
    asked_of_all,
    labels_for,
    prompt_for,
)
from mnist_diffusion.training.asking import AskedByCaption
from mnist_diffusion.training.epochs import Streams

CPU = torch.device("cpu")
VECTOR = 8
BANDS = Bands((1.7, 2.1, 3.0, 3.9), (-18.0, -5.0, 16.0, 29.0), [(5.0, 7.0)] * 10)
CORNERS = Corners([(1, 1), (3, 3)] * 5)


def encoder() -> TextEncoder:
    sizes = {**TEXT, "tokens": grammar.TOKENS, "length": grammar.LENGTH, "vector": VECTOR}
    network = seeded(lambda: TextEncoder(**sizes), seed=2).eval().requires_grad_(False)
    assert isinstance(network, TextEncoder)
    return network


def denoiser(**wishes: Any) -> TrainedDenoiser:
    asked = PromptsAsked(encoder(), **wishes)
    return TrainedDenoiser(
        unet(vector=VECTOR), SCHEDULES["cosine"](1000), "v", CPU, "text", wishes=asked
    )


def images(of: Any, trained: TrainedDenoiser | None = None) -> Tensor:
    return torch.cat([batch.images for batch in draw(trained or denoiser(), of, SAMPLE)])


@torch.no_grad()
def test_the_unet_hears_a_vector_and_zeros_as_nothing() -> None:
    network = unet(vector=VECTOR)
    x = torch.randn(2, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    t, asked = torch.tensor([10, 900]), torch.eye(VECTOR)[:2]
    output = network(x, t, asked)
    other = network(x, t, torch.stack([asked[0], torch.zeros(VECTOR)]))
    torch.testing.assert_close(other[0], output[0])
    assert not torch.allclose(other[1], output[1])
    nn.init.normal_(network.get_submodule("wish").weight)  # type: ignore[arg-type]
    nothing = network(x, t, torch.zeros(2, VECTOR))
    torch.testing.assert_close(nothing[1], other[1])
    assert "label.weight" not in dict(network.named_parameters())


def test_what_a_codec_keeps_of_looks_is_counted_by_the_words_of_a_grid() -> None:
    digits = np.array([0, 0, 1, 1, 2])
    # very thin and far left, in the corner of 0; medium; thick right, in that of 1; thick; upright
    real = Attributes(
        np.array([1.5, 2.5, 3.5, 3.5, 2.5]),
        np.array([-20.0, 0.0, 20.0, 5.0, 5.0]),
        np.full(5, 6.0),
    )
    levels = BANDS.levels(real, digits)
    unchanged = kept_looks(levels, levels, CORNERS)
    assert [unchanged[g]["n"] for g in ("all", "held_out", "seen_corners")] == [5, 2, 0]
    assert unchanged["all"]["everything"] == unchanged["held_out"]["everything"] == 1.0
    # thicker, but thin still; no more medium; thinner than thick; another digit; as it was
    back = Attributes(np.array([2.0, 3.2, 2.9, 3.5, 2.5]), real.slant, np.full(5, 9.0))
    found = kept_looks(levels, BANDS.levels(back, np.array([0, 0, 1, 7, 2])), CORNERS)
    assert found["all"]["thickness"] == pytest.approx(3 / 5)
    assert found["all"]["digit"] == pytest.approx(4 / 5)
    assert found["all"]["everything"] == pytest.approx(2 / 5)
    assert found["held_out"]["everything"] == pytest.approx(1 / 2)


def test_captions_in_training_are_true_and_new_at_each_step() -> None:
    randomness = np.random.default_rng(0)
    levels = np.stack([randomness.integers(0, n, 30) for n in LEVELS], axis=1)
    texts: list[Sequence[str]] = []

    class Reading(TextEncoder):
        def forward(self, tokens: Tensor) -> Tensor:
            words = {token: word for word, token in grammar.VOCABULARY.items()}
            rows = ([words[t] for t in row if t > grammar.END] for row in tokens.tolist())
            texts.append([" ".join(row) for row in rows])
            return super().forward(tokens)

    sizes = {**TEXT, "tokens": grammar.TOKENS, "length": grammar.LENGTH, "vector": VECTOR}
    asking, streams = AskedByCaption(levels, Reading(**sizes)), Streams("train", 0)
    chosen = torch.tensor([3, 17, 3])
    vectors = [asking(chosen, streams, step) for step in (0, 0, 1)]
    assert torch.equal(vectors[0], vectors[1])
    assert not torch.equal(vectors[0], vectors[2])
    assert not vectors[0].requires_grad
    for said in texts:
        for text, level in zip(said, levels[chosen.numpy()], strict=True):
            asked = understand(text).asked
            assert asked[0] in (NOTHING, level[0])
    assert texts[0][0] != texts[0][2]


def test_a_grid_asks_for_every_look_of_every_digit() -> None:
    asked = asked_of_all(GRID, "grid")
    expected = set(itertools.product(range(10), (1, 2, 3), (1, 2, 3), [NOTHING]))
    assert {tuple(one) for one in asked.tolist()} == expected
    assert np.array_equal(asked[:, 0], labels_for(GRID, asked=True))
    assert np.array_equal(asked_of_all(2 * GRID, "grid")[GRID:], asked)


def test_looks_are_as_common_as_in_mnist() -> None:
    """By the shares that captions' ends are set at; a caption leaves much unsaid."""
    count = 20_000
    asked = asked_of_all(count, "captions")
    assert np.array_equal(asked[:, 0], labels_for(count, asked=True))
    for column in (1, 2):
        said = asked[:, column][asked[:, column] != NOTHING]
        assert 0.4 < len(said) / count < 0.65
        usual = (said == 2).mean()
        # of middle levels, half as common again as both on either side, fewer are spoken of
        assert usual == pytest.approx(0.5 * 0.6 / (0.5 * 0.6 + 0.5), abs=0.02)
        assert ((said == 0) | (said == 1)).mean() == pytest.approx((1 - usual) / 2, abs=0.02)


@pytest.mark.parametrize("prompts", PROMPTS)
def test_a_prompt_says_what_it_asks_for(prompts: str) -> None:
    texts = [prompt_for(index, prompts) for index in range(200)]
    for index, text in enumerate(texts):
        assert list(understand(text).asked) == asked_for(index, prompts)
    assert texts[37] == prompt_for(37, prompts)


@pytest.mark.parametrize("prompts", PROMPTS)
def test_images_do_not_depend_on_the_prompts_beside_them(prompts: str) -> None:
    of = cell("ddim", prompts=prompts)
    whole = images(of)
    for count in (1, 5):
        assert torch.equal(images(of.model_copy(update={"count": count})), whole[:count])
    assert torch.equal(redraw(denoiser(), of, SAMPLE, [7, 2]), whole[[7, 2]])


def test_unasked_is_the_same_whatever_is_not_said() -> None:
    """Guidance 0 of two sets of prompts, and a network that is never told anything."""
    drawn = [images(cell("ddim", guidance=0.0, prompts=prompts)) for prompts in PROMPTS]
    assert all(torch.equal(drawn[0], other) for other in drawn[1:])
    silent = denoiser()

    class Deaf(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = silent.network

        def forward(self, x: Tensor, t: Tensor, asked: Tensor) -> Tensor:
            return self.network(x, t, torch.zeros_like(asked))

    deaf = TrainedDenoiser(Deaf(), silent.schedule, "v", CPU, "text", wishes=silent.wishes)
    assert torch.equal(images(cell("ddim", guidance=1.0), deaf), drawn[0])


def test_one_prompt_is_for_all_images_and_its_words_matter() -> None:
    of = cell("ddim", guidance=2.0)
    seven = denoiser(prompt="a thick seven")
    same = images(of, seven)
    assert torch.equal(same, images(of, denoiser(prompt="a thick seven")))
    assert not torch.equal(same, images(of, denoiser(prompt="a thin seven")))
    asked = seven.asked(range(3), of)
    assert torch.equal(asked[0], asked[1])


def measured() -> tuple[np.ndarray, Attributes, np.ndarray]:
    """Asked, measured and seen: right, too thin, another digit, in a corner, and silent."""
    asked = np.array([[7, 3, 2, -1], [7, 3, 2, -1], [7, 3, 2, -1], [0, 1, 1, -1], [1, 1, 3, -1]])
    attributes = Attributes(
        thickness=np.array([3.5, 2.0, 3.5, 1.8, 1.9]),
        slant=np.array([0.0, 0.0, 0.0, -10.0, 20.0]),
        width=np.full(5, 6.0),
    )
    return asked, attributes, np.array([7, 7, 1, 0, 1])


def test_obedience_is_counted_by_hand() -> None:
    asked, attributes, seen = measured()
    right = obeyed(asked, BANDS.levels(attributes, seen))
    assert right[:, 0].tolist() == [True, True, False, True, True]
    assert right[:, 1].tolist() == [True, False, True, True, True]
    assert right[:, 2].all() and right[:, 3].all()
    found = scores(asked, attributes, seen, BANDS, CORNERS)
    assert found["all"]["everything"] == pytest.approx(3 / 5)
    assert found["all"]["digit"] == pytest.approx(4 / 5)
    assert (found["held_out"]["n"], found["held_out"]["everything"]) == (1, 1.0)
    assert found["seen_corners"]["n"] == 1
    assert found["thickness"]["means"] == pytest.approx({"1": 1.85, "3": 3.0})
    assert found["slant"]["rank_correlation"] == pytest.approx(1.0)


def test_of_nobody_and_of_what_never_changes_there_is_no_share() -> None:
    asked, attributes, seen = (part[:0] for part in (measured()[0], np.zeros(0), measured()[2]))
    nobody = Attributes(attributes, attributes, attributes)
    found = scores(asked.reshape(0, 4), nobody, seen, BANDS, CORNERS)
    assert found["all"]["everything"] is None
    assert found["slant"]["rank_correlation"] is None


def test_means_of_real_digits_are_those_of_their_levels() -> None:
    levels = np.array([[0, 0, 2, 1], [1, 1, 2, 1], [2, 2, 1, 1], [3, 4, 4, 1], [3, 3, 0, 1]])
    attributes = Attributes(np.arange(5.0), np.arange(5.0) * 10, np.ones(5))
    real = means_of_real(attributes, levels)
    assert real["thickness"] == {"1": 0.5, "2": 2.0, "3": 3.5}
    assert real["slant"] == {"1": 30.0, "2": 5.0, "3": 30.0}
