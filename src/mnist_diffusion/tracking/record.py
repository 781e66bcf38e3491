"""What tracking wants to know of a stage, and how MLflow lets it be written."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

LONGEST_NAME = 250
LONGEST_VALUE = 5000
"""MLflow refuses longer names and cuts longer values, at a length that differs by version."""


class Point(Protocol):
    """One value of a metric along training."""

    @property
    def metric(self) -> str: ...
    @property
    def value(self) -> float: ...
    @property
    def step(self) -> int: ...


class Record(Protocol):
    """What a stage tells about itself; stages.record.Record is one."""

    @property
    def params(self) -> Mapping[str, str | int | float | bool | None]: ...
    @property
    def metrics(self) -> Mapping[str, float]: ...
    @property
    def tags(self) -> Mapping[str, str]: ...
    @property
    def history(self) -> Sequence[Point]: ...
    @property
    def artifacts(self) -> Sequence[Path]: ...
    @property
    def images(self) -> int | None: ...


def legal_name(name: str) -> str:
    """A name MLflow takes: letters, digits, `_-. ` and single inner slashes (`@` becomes `_`)."""
    words = [re.sub(r"[^\w. -]", "_", part) for part in name.split("/")]
    return "/".join(word for word in words if word.strip("."))[:LONGEST_NAME] or "_"


def text(value: str | int | float | bool | None) -> str:
    """As YAML writes it: true, null."""
    word = value is None or isinstance(value, bool)
    return (json.dumps(value) if word else str(value))[:LONGEST_VALUE]
