"""What a stage that has ended tells of its work, for its rate."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """All else that a stage has to say stands in what it published."""

    images: int | None = None
    """How many it worked through, those of earlier attempts included; None: it has no rate."""
    earlier_seconds: float = 0.0
    """What earlier attempts of a resumed run took."""
