"""What all artifacts share: strict models, how they are written, and how they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from mnist_diffusion.files.jsonfile import read_json, write_json
from mnist_diffusion.runtime.errors import UserError

Digest = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Ends = Annotated[tuple[float, float], Field(strict=False)]
"""(low, high); a list in JSON."""
PerDigit = dict[Literal["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"], float | None]
"""A number for each digit; null where too few were drawn to tell."""
Confusion = list[list[int]]
"""Rows: the digit wanted; columns: the digit seen."""


class Strict(BaseModel):
    """A part of an artifact: unknown keys and loose types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Spread(Strict):
    """What random sets of real digits score: the mean, and what 95 % of them lie between."""

    mean: float
    low: float
    high: float


class Code(Strict):
    """The source that ran."""

    sha256: Digest
    files: dict[str, Digest]
    lockfile_sha256: Digest | None


class Sourced(Strict):
    """What made an artifact; a JSON that has no manifest beside it says so itself."""

    made_from: dict[str, Digest]
    """Digests of the manifests of what went in, by stage, or of files that have none, by path."""
    code: Code
    environment: dict[str, str]


Shape = TypeVar("Shape", bound=Strict)


def load(path: Path, shape: type[Shape]) -> Shape:
    """Read an artifact; UserError names the file and the key that is wrong."""
    try:
        return shape.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        cause = f"{key}: {first['msg'][0].lower()}{first['msg'][1:]}"
        raise UserError(f"{path}: {cause}; delete it and run `dvc repro`") from None


def dump(path: Path, artifact: Strict) -> None:
    """Write an artifact, whole or not at all."""
    write_json(path, artifact.model_dump(mode="json", by_alias=True))
