"""Captions and prompts: what holds for every digit and whatever anyone types."""

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mnist_diffusion.dataset import grammar
from mnist_diffusion.dataset.grammar import Draws, asked_of, caption, encode
from mnist_diffusion.dataset.levels import LEVELS, Corners, truth
from mnist_diffusion.dataset.prompts import NEGATIONS, understand
from mnist_diffusion.runtime.errors import UserError

digits = st.tuples(*(st.integers(0, count - 1) for count in LEVELS))
codes = st.tuples(*(st.integers(-1, count - 1) for count in LEVELS))
share = st.floats(0, 1, exclude_max=True)
numbers = st.lists(share, min_size=grammar.NUMBERS, max_size=grammar.NUMBERS)
CORNERS = Corners([(1, 1), (3, 3)] * 5)
words = st.sampled_from([*grammar.VOCABULARY, *NEGATIONS, "chunky", "42", "eleven"])
typed = st.one_of(st.text(), st.lists(words, max_size=25).map(" ".join))


@settings(max_examples=300)
@given(levels=digits, what=numbers, how=numbers)
def test_a_caption_is_true_and_reads_back_as_what_it_says(
    levels: tuple[int, ...], what: list[float], how: list[float]
) -> None:
    asked = asked_of(levels, Draws(what))
    assert truth(np.array([asked]), np.array([levels])).all()
    text = caption(asked, Draws(how))
    assert not bool((encode([text]) == grammar.UNKNOWN).any())
    prompt = understand(text)
    assert prompt.text == text
    assert prompt.asked == tuple(asked)
    assert prompt.unknown == ()


@settings(max_examples=300)
@given(asked=codes, how=numbers)
def test_whatever_is_asked_for_has_words_that_fit(asked: tuple[int, ...], how: list[float]) -> None:
    prompt = understand(caption(asked, Draws(how)))
    assert prompt.asked == asked
    assert understand(prompt.text) == prompt


@settings(max_examples=300)
@given(levels=digits, what=numbers)
def test_nobody_ever_says_what_is_held_out(levels: tuple[int, ...], what: list[float]) -> None:
    """A caption of a digit that is not held out."""
    if not CORNERS.hold(np.array([levels]))[0]:
        assert not CORNERS.hold_all_of(asked_of(levels, Draws(what)))


@settings(max_examples=500)
@given(text=typed)
@example("")
@example("\x00\ud800 seven")
@example("one hundred , \u2028 seven")
def test_a_prompt_is_understood_or_refused_in_one_line(text: str) -> None:
    """Anything but a UserError would be a traceback."""
    refused = ""
    try:
        prompt = understand(text)
    except UserError as error:
        refused = str(error)
    if refused:
        assert refused.isprintable()
        assert refused.startswith("prompt: ") and "; " in refused
    else:
        assert all(line.isprintable() for line in [prompt.understood, *prompt.notes])
        encode([prompt.text])


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("a thick seven leaning left", (7, 3, 1, -1)),
        ("thin 4, upright", (4, 1, 2, -1)),
        ("THIN 4 UPRIGHT.", (4, 1, 2, -1)),
        ("very thin 0 leaning far right", (0, 0, 4, -1)),
        ("a bold, very thick 3", (3, 4, -1, -1)),
        ("seven 7", (7, -1, -1, -1)),
        ("wide eight to the left", (8, -1, 1, 2)),
        ("a chunky seven", (7, -1, -1, -1)),
        ("a handwritten digit", (-1, -1, -1, -1)),
    ],
)
def test_prompts_are_read_as_a_person_means_them(text: str, asked: tuple[int, ...]) -> None:
    assert understand(text).asked == asked


def test_an_unknown_word_is_named() -> None:
    prompt = understand("a chunky blod seven, blod")
    assert prompt.unknown == ("chunky", "blod")
    assert '"chunky" is none of the' in prompt.notes[0]
    assert "did you mean 'bold'?" in prompt.notes[1]
    assert prompt.understood == "digit 7"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("not a seven", '"not"'),
        ("a seven without slant", '"without"'),
        ("it isn't thick", '"isn\'t"'),
        ("a seven and a three", '"seven" and "three" contradict'),
        ("7 3", '"7" and "3" contradict'),
        ("a thick thin seven", '"thick" and "thin" contradict'),
        ("upright, leaning left", '"upright" and "leaning left" contradict'),
        ("purple elephants", "no word of it is known"),
        (" , ", "no word of it is known"),
        (" ... ", "empty"),
        ("very " * 40 + "thick seven", "42 words"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(text: str, named: str) -> None:
    with pytest.raises(UserError) as error:
        understand(text)
    assert named in str(error.value)


def test_the_same_numbers_say_the_same() -> None:
    def said(seed: int) -> Any:
        draws = np.random.default_rng(seed).random((2, grammar.NUMBERS)).tolist()
        asked = asked_of((7, 3, 1, 2), Draws(draws[0]))
        return asked, caption(asked, Draws(draws[1]))

    assert said(1) == said(1)
    assert len({said(seed)[1] for seed in range(50)}) > 25
