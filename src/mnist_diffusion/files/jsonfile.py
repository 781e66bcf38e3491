"""JSON files in one form, so that equal content is equal bytes, written whole or not at all."""

import json
import math
from pathlib import Path
from typing import Any

from mnist_diffusion.files.atomic import write_atomically
from mnist_diffusion.runtime.errors import UserError


def to_text(content: Any) -> str:
    """Sorted keys, two spaces, a line end; NaN and infinity are refused."""
    return json.dumps(content, sort_keys=True, indent=2, allow_nan=False) + "\n"


def write_json(path: Path, content: Any) -> None:
    """Write the whole file or nothing."""
    write_atomically(path, to_text(content))


def read_json(path: Path) -> Any:
    """Read a JSON file that a stage has written; UserError if there is none that could be ours."""
    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text, parse_float=_finite, parse_constant=_finite)
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run `dvc repro` first") from None
    except OSError as error:
        cause = error.strerror
        raise UserError(f"{path}: cannot be read ({cause}); mend that, or delete it") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON ({error}); delete it and run `dvc repro`") from None


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no number of JSON")
    return value
