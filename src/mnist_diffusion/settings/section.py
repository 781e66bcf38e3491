"""What sections of params.yaml are made of: how they are checked, kinds of number and name."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(gt=0)]
NonNegative = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=10)]
"""Each digit once, at the least: or accuracy would be of digits that nobody asked for."""
Finite = Annotated[float, Field(allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)]
Names = Annotated[list[Name], Field(min_length=1)]


class Section(BaseModel):
    """A part of params.yaml: unknown keys, loose types and later changes are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
