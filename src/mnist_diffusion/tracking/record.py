"""How MLflow lets things be written."""

import json
import re

LONGEST_NAME = 250
LONGEST_VALUE = 5000
"""MLflow refuses longer names and cuts longer values, at a length that differs by version."""


def legal_name(name: str) -> str:
    """A name MLflow takes: letters, digits, `_-. ` and single inner slashes (`@` becomes `_`)."""
    words = [re.sub(r"[^\w. -]", "_", part) for part in name.split("/")]
    return "/".join(word for word in words if word.strip("."))[:LONGEST_NAME] or "_"


def text(value: str | int | float | bool | None) -> str:
    """As YAML writes it: true, null."""
    word = value is None or isinstance(value, bool)
    return (json.dumps(value) if word else str(value))[:LONGEST_VALUE]
