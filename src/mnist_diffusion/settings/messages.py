"""What is wrong with the settings, in one line: the key, the cause, what to do."""

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

NAME_RULE = "lower-case letters, digits and single hyphens, 60 at most"
LONGEST_QUOTE = 60
MARK_OF_A_KEY = "[key]"
"""pydantic ends the location of a bad dictionary key with this."""


def suggest(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: the nearest known one, or all of them."""
    choices = sorted(known)
    close = difflib.get_close_matches(word, choices, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(choices)}"


def require(name: str, known: Iterable[str], key: str, kind: str) -> None:
    """ValueError if there is no such name."""
    if name not in known:
        raise ValueError(f"{key}: there is no {kind} {name!r}; {suggest(name, known)}")


def explain(error: ValidationError, schema: type[BaseModel]) -> str:
    """The message that matters most; `schema` is the model that refused."""
    first = min(error.errors(), key=_rank)
    location = [part for part in first["loc"] if part != MARK_OF_A_KEY]
    key = ".".join(plain(str(part)) for part in location)
    if first["type"] == "value_error":
        message = str(first["ctx"]["error"])
        return f"{key}.{message}" if key else message
    if first["type"] in ("extra_forbidden", "invalid_key"):
        return f"{key}: unknown key; {suggest(str(location[-1]), _siblings(location, schema))}"
    if first["type"] == "missing":
        return f"{key}: missing; add it"
    return f"{key}: {_cause_and_fix(first)}"


def _rank(error: ErrorDetails) -> int:
    """An unknown key often makes a known one go missing: the typo matters more."""
    return {"extra_forbidden": 0, "invalid_key": 0, "missing": 2}.get(error["type"], 1)


def _cause_and_fix(error: ErrorDetails) -> str:
    value, kind = error["input"], error["type"]
    if kind in ("string_pattern_mismatch", "string_too_long") or MARK_OF_A_KEY in error["loc"]:
        return f"{_quote(value)} is not a name; use {NAME_RULE}"
    if kind in ("model_type", "dict_type"):
        return f"got {_quote(value)}; write a section of keys and values"
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", error["ctx"]["expected"])
        return f"there is no {_quote(value)}; {suggest(str(value), choices)}"
    return f"got {_quote(value)}; it should {error['msg'].partition(' should ')[2]}"


def _quote(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_QUOTE else text[: LONGEST_QUOTE - 1] + "…"


def plain(text: str, longest: int = LONGEST_QUOTE) -> str:
    """What a person has typed, without what could break the line, or fill it."""
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[: longest + 1])
    return shown if len(text) <= longest else shown[:longest] + "…"


def _siblings(location: Sequence[int | str], schema: type[BaseModel]) -> list[str]:
    """The keys that could have stood where an unknown key stands."""
    section = schema
    for part in location[:-1]:
        field = _fields(section).get(str(part))
        section = (_section_of(field.annotation) if field else None) or section
    return list(_fields(section))


def _fields(section: type[BaseModel]) -> dict[str, FieldInfo]:
    """A section's fields by the names that they have in the file."""
    return {field.alias or name: field for name, field in section.model_fields.items()}


def _section_of(annotation: Any) -> type[BaseModel] | None:
    """The section inside an annotation: itself, or the values of a dictionary of sections."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    arguments = getattr(annotation, "__args__", ())
    return next((found for a in arguments if (found := _section_of(a))), None)
