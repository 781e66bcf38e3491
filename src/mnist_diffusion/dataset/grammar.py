"""Captions: what is asked for, said in one of many ways, and the words that takes.

A caption is a pure function of what it says and of uniform random numbers. "One" is a digit here
and never an article.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Generator, Tensor

from mnist_diffusion.dataset.levels import ATTRIBUTES, NOTHING, Codes

Option = TypeVar("Option")

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ADJECTIVES: dict[str, dict[int, tuple[str, ...]]] = {
    "thickness": {
        0: ("very thin", "extra fine", "extremely thin"),
        1: ("thin", "fine", "light", "slender"),
        2: ("medium",),
        3: ("thick", "bold", "heavy", "fat"),
        4: ("very thick", "extra bold", "extremely heavy"),
    },
    "slant": {2: ("upright", "straight", "vertical"), 3: ("italic",)},
    "width": {0: ("narrow", "slim"), 2: ("wide", "broad")},
}
"""Before the digit or after it, by attribute and code."""
FOLLOWING: dict[str, dict[int, tuple[str, ...]]] = {
    "thickness": {2: ("of normal weight", "of regular weight")},
    "slant": {
        0: ("leaning far left", "strongly slanted to the left"),
        1: ("leaning left", "slanted to the left", "tilted left"),
        3: ("leaning right", "slanted to the right", "tilted right"),
        4: ("leaning far right", "strongly slanted to the right"),
    },
    "width": {1: ("of usual width",)},
}
"""After the digit only."""
ARTICLES = ("a", "a handwritten", "the", "")
NOUNS = ("digit", "number")
INTRODUCTIONS = ("", "that is")
JOINTS = ("and", ",", "")

SAID = {"digit": 0.95, "thickness": 0.7, "slant": 0.7, "width": 0.35}
"""How often a caption speaks of an attribute."""
MIDDLE = {"thickness": 2, "slant": 2, "width": 1}
MIDDLE_SAID = 0.6
"""What is as usual is said so many times as often as what is not."""
BLURRED = {0: 1, 4: 3}
"""Half of the captions call the very thin thin, and so on."""
NUMBERS = 24
"""Random numbers that a caption takes at the most."""

PADDING, UNKNOWN, END = range(3)
LENGTH = 20
"""Tokens of a caption, END and PADDING included."""
LONGEST = LENGTH - 1
"""Words that fit; a comma is one."""


class Draws:
    """Decisions, each from the next of some uniform numbers in [0, 1)."""

    def __init__(self, numbers: Iterable[float]):
        self._numbers = iter(numbers)

    def happens(self, share: float) -> bool:
        return next(self._numbers) < share

    def of(self, options: Sequence[Option]) -> Option:
        return options[int(next(self._numbers) * len(options))]


def asked_of(levels: Sequence[int], draws: Draws) -> list[int]:
    """What a caption of a digit with these levels, (4,), speaks of: codes, (4,), true of it."""
    asked = []
    for attribute, level in zip(ATTRIBUTES, levels, strict=True):
        usual = MIDDLE.get(attribute) == level
        said = draws.happens(SAID[attribute] * (MIDDLE_SAID if usual else 1.0))
        blurred = draws.happens(0.5) and attribute in ("thickness", "slant")
        code = BLURRED.get(level, level) if blurred else level
        asked.append(int(code) if said else NOTHING)
    return asked


def caption(asked: Sequence[int], draws: Draws) -> str:
    """One of the ways to say it, such as "a thick seven , leaning left"; words of VOCABULARY."""
    codes = dict(zip(ATTRIBUTES, asked, strict=True))
    before: list[str] = []
    after: list[str] = []
    for attribute in ("thickness", "width", "slant"):
        if codes[attribute] != NOTHING:
            phrase, follows = _phrase(attribute, codes[attribute], draws)
            (after if follows else before).append(phrase)
    if draws.happens(0.5):
        before.reverse()
    if draws.happens(0.5):
        after.reverse()
    start = [draws.of(ARTICLES), *before, _noun(codes["digit"], draws)]
    if not after:
        return _joined(start)
    start.append(draws.of(("", ",")))
    introduction = draws.of(INTRODUCTIONS)
    rest = [after[0]]
    for phrase in after[1:]:
        rest += [draws.of(JOINTS), phrase]
    text = _joined([*start, introduction, *rest])
    return text if len(text.split()) <= LONGEST else _joined([*start, *rest])


def captions_of(levels: Codes, randomness: Generator) -> tuple[list[str], Codes]:
    """A caption of each digit with these levels, (n, 4), and what it asks for, (n, 4)."""
    numbers = torch.rand(len(levels), 2, NUMBERS, generator=randomness).tolist()
    asked = [asked_of(row, Draws(what)) for row, (what, _) in zip(levels, numbers, strict=True)]
    texts = [caption(one, Draws(how)) for one, (_, how) in zip(asked, numbers, strict=True)]
    return texts, np.array(asked, dtype=np.int64)


def _joined(words: Sequence[str]) -> str:
    return " ".join(" ".join(words).split())


def _noun(digit: int, draws: Draws) -> str:
    noun = draws.of(NOUNS)
    if digit == NOTHING:
        return noun
    name = draws.of((DIGITS[digit], str(digit)))
    return draws.of((name, name, f"{noun} {name}"))


def _phrase(attribute: str, code: int, draws: Draws) -> tuple[str, bool]:
    """Words for a code, and whether they stand after the digit."""
    anywhere = ADJECTIVES[attribute].get(code, ())
    phrase = draws.of((*anywhere, *FOLLOWING[attribute].get(code, ())))
    return phrase, draws.happens(0.25) or phrase not in anywhere


def _all_words() -> list[str]:
    tables = (ADJECTIVES, FOLLOWING)
    phrases = [p for t in tables for codes in t.values() for said in codes.values() for p in said]
    digits = [*DIGITS, *map(str, range(len(DIGITS)))]
    texts = (*phrases, *digits, *ARTICLES, *NOUNS, *INTRODUCTIONS, *JOINTS)
    return sorted({word for text in texts for word in text.split()})


VOCABULARY = {word: token for token, word in enumerate(_all_words(), start=END + 1)}
"""A token for each word; those below are PADDING, UNKNOWN and END."""
TOKENS = END + 1 + len(VOCABULARY)


def words_of(text: str) -> list[str]:
    """The words of a caption or a prompt, in lower case, without punctuation but commas."""
    spaced = text.lower().replace(",", " , ")
    stripped = (word.strip(".;:!?\"'()[]") for word in spaced.split())
    return [word for word in stripped if word]


def encode(texts: Sequence[str]) -> Tensor:
    """Tokens (n, LENGTH) int64 of texts; ValueError for one of more than LONGEST words."""
    tokens = torch.full((len(texts), LENGTH), PADDING)
    for row, text in enumerate(texts):
        found = [VOCABULARY.get(word, UNKNOWN) for word in words_of(text)]
        if len(found) > LONGEST:
            raise ValueError(f"{len(found)} words, and a caption has {LONGEST} at most")
        tokens[row, : len(found) + 1] = torch.tensor([*found, END])
    return tokens
