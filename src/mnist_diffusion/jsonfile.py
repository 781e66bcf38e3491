"""JSON files in one form, so that equal content is equal bytes, written whole or not at all."""

import json
import os
from pathlib import Path
from typing import Any

from mnist_diffusion.errors import UserError


def to_text(content: Any) -> str:
    """Sorted keys, two spaces, a line end; NaN and infinity are refused."""
    return json.dumps(content, sort_keys=True, indent=2, allow_nan=False) + "\n"


def write_json(path: Path, content: Any) -> None:
    """Write through a temporary file and a rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(to_text(content), encoding="utf-8")
    temporary.replace(path)


def read_json(path: Path) -> Any:
    """Read a JSON file that a stage has written."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run `dvc repro` first") from None
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error}); delete it and run `dvc repro`") from None
