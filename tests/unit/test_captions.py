"""Levels and captions: what is true of what, in words that a network can be given."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from mnist_diffusion.dataset import grammar
from mnist_diffusion.dataset.attributes import Attributes
from mnist_diffusion.dataset.grammar import Draws, Option, asked_of, caption, encode
from mnist_diffusion.dataset.levels import (
    LEVELS,
    NOTHING,
    TRUTHS,
    Bands,
    Corners,
    narrower,
    obeyed,
    truth,
)

EVERY = np.array(list(itertools.product(*map(range, LEVELS))))
"""All 750 kinds of digit."""
TRUE_OF = {0: {0}, 1: {0, 1}, 2: {2}, 3: {3, 4}, 4: {4}, NOTHING: {0, 1, 2, 3, 4}}
CORNERS = Corners([(1, 1), (3, 1), (1, 3), (3, 3), (1, 1), (1, 3), (3, 3), (3, 1), (1, 1), (3, 3)])
BANDS = Bands((1.7, 2.0, 2.9, 3.8), (-18.0, -5.0, 16.0, 29.0), [(5.0, 7.0)] * 10)


def brute_force(asked: list[int], levels: list[int]) -> bool:
    digit, thick, slant, width = asked
    return (
        digit in (NOTHING, levels[0])
        and levels[1] in TRUE_OF[thick]
        and levels[2] in TRUE_OF[slant]
        and width in (NOTHING, levels[3])
    )


def some_captions(count: int, seed: int = 0) -> np.ndarray:
    randomness = np.random.default_rng(seed)
    return np.stack([randomness.integers(-1, n, count) for n in LEVELS], axis=1)


class AtLength(Draws):
    """Of every choice the longest, and what may follow the digit does."""

    def __init__(self) -> None:
        super().__init__([])

    def happens(self, share: float) -> bool:
        return True

    def of(self, options: Sequence[Option]) -> Option:
        return max(options, key=lambda one: len(str(one).split()))


def test_the_longest_caption_of_any_digit_fits() -> None:
    longest = [caption(levels, AtLength()) for levels in EVERY.tolist()]
    assert max(len(text.split()) for text in longest) <= grammar.LONGEST
    assert encode(longest).shape == (len(EVERY), grammar.LENGTH)
    short = [text for text in longest if "that is" not in text]
    assert short and all("strongly slanted" in text for text in short)


def test_truth_is_that_of_brute_force() -> None:
    asked, levels = some_captions(200), EVERY[::7]
    expected = [[brute_force(a, d) for d in levels.tolist()] for a in asked.tolist()]
    assert np.array_equal(truth(asked, levels), expected)
    pairs = obeyed(asked[: len(levels)], levels).all(axis=1)
    assert np.array_equal(pairs, np.diag(np.array(expected)[: len(levels)]))


def test_the_narrower_of_two_implies_the_other() -> None:
    for attribute, table in enumerate(TRUTHS):
        for one, other in itertools.product(range(LEVELS[attribute]), repeat=2):
            found = narrower(attribute, one, other)
            both = table[one] & table[other]
            if found is None:
                assert not both.any()
            else:
                assert np.array_equal(table[found], both)


def test_a_band_is_counted_by_hand() -> None:
    attributes = Attributes(
        thickness=np.array([1.0, 1.7, 2.5, 3.8, 9.0]),
        slant=np.array([-40.0, -18.0, 0.0, 16.0, 30.0]),
        width=np.array([4.9, 5.0, 6.9, 7.0, 20.0]),
    )
    levels = BANDS.levels(attributes, np.array([0, 1, 2, 3, 9]))
    assert levels.tolist() == [
        [0, 0, 0, 0],
        [1, 1, 1, 1],
        [2, 2, 2, 1],
        [3, 4, 3, 2],
        [9, 4, 4, 2],
    ]


def test_width_is_told_within_each_digit() -> None:
    labels = np.repeat(np.arange(10), 40)
    width = np.tile(np.arange(40.0), 10) + 100.0 * labels
    attributes = Attributes(np.ones(400), np.zeros(400), width)
    bands = Bands.fitted((1.7, 2, 3, 4), (-18, -5, 16, 29), (0.25, 0.75), attributes, labels)
    found = bands.levels(attributes, labels)[:, 3].reshape(10, 40)
    assert np.array_equal(found, np.tile(np.repeat([0, 1, 2], [10, 20, 10]), (10, 1)))


def test_what_is_held_out_is_one_corner_of_each_digit() -> None:
    held = CORNERS.hold(EVERY)
    expected = [
        level[1] in TRUE_OF[CORNERS.codes[level[0]][0]]
        and level[2] in TRUE_OF[CORNERS.codes[level[0]][1]]
        for level in EVERY.tolist()
    ]
    assert held.tolist() == expected
    assert held.sum() == 10 * 2 * 2 * 3


def test_a_prompt_was_never_seen_if_all_it_is_true_of_is_held_out() -> None:
    held = CORNERS.hold(EVERY)
    asked = np.array(list(itertools.product(*(range(-1, n) for n in LEVELS[:3]), [NOTHING])))
    true = truth(asked, EVERY)
    never = ~(true & ~held).any(axis=1)
    assert [CORNERS.hold_all_of(one) for one in asked.tolist()] == never.tolist()
    assert 0 < never.sum() < len(asked)


def test_the_vocabulary_is_what_captions_are_made_of() -> None:
    randomness = np.random.default_rng(0)
    seen: set[str] = set()
    for levels in np.repeat(EVERY, 4, axis=0).tolist():
        draws = Draws(randomness.random(grammar.NUMBERS).tolist())
        asked = asked_of(levels, draws)
        seen |= set(caption(asked, Draws(randomness.random(grammar.NUMBERS).tolist())).split())
    assert seen == set(grammar.VOCABULARY)
    assert sorted(grammar.VOCABULARY.values()) == list(range(3, grammar.TOKENS))


def test_tokens_end_and_are_padded() -> None:
    tokens = encode(["Seven, chunky!", "", "the 7"])
    known = grammar.VOCABULARY
    assert tokens.shape == (3, grammar.LENGTH)
    assert tokens.dtype == torch.int64
    assert tokens[0, :5].tolist() == [known["seven"], known[","], 1, 2, 0]
    assert tokens[1].tolist() == [2] + [0] * (grammar.LENGTH - 1)
    assert tokens[2, :4].tolist() == [known["the"], known["7"], 2, 0]
    with pytest.raises(ValueError, match="20 words"):
        encode(["very " * 20])
