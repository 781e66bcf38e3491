"""What a person's prompt asks for, as far as our words reach; what cannot be asked is refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mnist_diffusion.dataset.grammar import (
    ADJECTIVES,
    DIGITS,
    FOLLOWING,
    LONGEST,
    VOCABULARY,
    words_of,
)
from mnist_diffusion.dataset.levels import ATTRIBUTES, DIGIT, NOTHING, narrower
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings.messages import plain, suggest

NEGATIONS = frozenset({"no", "non", "not", "never", "neither", "nor", "without", "except"})
CURLY = "\N{RIGHT SINGLE QUOTATION MARK}"
LONGEST_QUOTE = 40
LOOSE = {"left": ("slant", 1), "right": ("slant", 3)}
"""Words that no caption has alone, and that mean something nevertheless."""
ASK = "say a digit, thin or thick, leaning left or right"

Meaning = tuple[str, int]
"""An attribute, and the code that is asked for."""


def _meanings() -> dict[tuple[str, ...], Meaning]:
    """By the words of a phrase."""
    found: dict[tuple[str, ...], Meaning] = {(word,): said for word, said in LOOSE.items()}
    for table in (ADJECTIVES, FOLLOWING):
        for attribute, codes in table.items():
            for code, phrases in codes.items():
                found |= {tuple(phrase.split()): (attribute, code) for phrase in phrases}
    for digit, name in enumerate(DIGITS):
        found |= {(word,): ("digit", digit) for word in (name, str(digit))}
    return found


MEANINGS = _meanings()
_LENGTHS = sorted({len(words) for words in MEANINGS}, reverse=True)


@dataclass(frozen=True)
class Prompt:
    """A prompt, understood."""

    text: str
    """As a network reads it: words of ours and others, between single spaces."""
    asked: tuple[int, ...]
    """(4,) codes, by dataset.levels.ATTRIBUTES."""
    unknown: tuple[str, ...]
    """Its words that say nothing to a run, each once."""

    @property
    def digit(self) -> int | None:
        """The digit that is asked for, if one is."""
        return None if self.asked[DIGIT] == NOTHING else self.asked[DIGIT]

    @property
    def understood(self) -> str:
        """Such as "digit 7, thick, leaning left"."""
        return describe(self.asked) or "no digit and nothing of its looks"

    @property
    def notes(self) -> list[str]:
        """A line for each unknown word."""
        known = [word for words in MEANINGS for word in words]
        return [
            f"{quoted(word)} is none of the {len(VOCABULARY)} words; it says nothing to this run "
            f"({_near(word, known)})"
            for word in self.unknown
        ]


def understand(text: str) -> Prompt:
    """Read a prompt; UserError for one without a known word, negated, contradictory or too long."""
    words = words_of(text)
    if not words:
        raise UserError(f"prompt: it is empty; {ASK}")
    if len(words) > LONGEST:
        raise UserError(f"prompt: {len(words)} words, commas counted; use {LONGEST} at most")
    for word in words:
        if word in NEGATIONS or word.replace(CURLY, "'").endswith("n't"):
            raise UserError(
                f"prompt: {quoted(word)} is not understood, and a run would draw what it is to "
                "leave out; say what you want instead"
            )
    unknown = tuple(dict.fromkeys(word for word in words if word not in VOCABULARY))
    if not set(words) - {*unknown, ","}:
        raise UserError(f"prompt: no word of it is known; {ASK}")
    return Prompt(" ".join(words), _asked(words), unknown)


def describe(asked: Sequence[int]) -> str:
    """What codes (4,) say, in the first of the words for each; empty where they say nothing."""
    told = []
    for attribute, code in zip(ATTRIBUTES, asked, strict=True):
        if code == NOTHING:
            continue
        if attribute == "digit":
            told.append(f"digit {code}")
        else:
            tables = (table[attribute].get(code, ()) for table in (ADJECTIVES, FOLLOWING))
            told.append(next(phrase for phrases in tables for phrase in phrases))
    return ", ".join(told)


def quoted(word: str) -> str:
    """A word that a person has typed, without what could break the line, or fill it."""
    return f'"{plain(word, LONGEST_QUOTE)}"'


def _asked(words: Sequence[str]) -> tuple[int, ...]:
    """Codes (4,) of the phrases there are, the longest first; UserError if two contradict."""
    asked = [NOTHING] * len(ATTRIBUTES)
    by: dict[int, str] = {}
    for phrase, (attribute, code) in _phrases(words):
        column = ATTRIBUTES.index(attribute)
        before = asked[column]
        both = code if before == NOTHING else narrower(column, before, code)
        if both is None:
            raise UserError(
                f"prompt: {quoted(by[column])} and {quoted(phrase)} contradict each other; "
                "leave one out"
            )
        if both != before:
            asked[column], by[column] = both, phrase
    return tuple(asked)


def _phrases(words: Sequence[str]) -> Iterator[tuple[str, Meaning]]:
    place = 0
    while place < len(words):
        for length in _LENGTHS:
            phrase = tuple(words[place : place + length])
            if phrase in MEANINGS:
                yield " ".join(phrase), MEANINGS[phrase]
                place += len(phrase)
                break
        else:
            place += 1


def _near(word: str, known: Sequence[str]) -> str:
    """The nearest known word; of none that is near, what can be asked for."""
    told = suggest(word, known)
    return told if told.startswith("did you mean") else ASK
