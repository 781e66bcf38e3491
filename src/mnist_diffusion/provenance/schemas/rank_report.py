"""The cells under several judges: their ranks, and where those disagree."""

from __future__ import annotations

from mnist_diffusion.provenance.schemas.artifact import Digest, Sourced, Strict


class RankedCell(Strict):
    """A cell under one judge."""

    cell: str
    judge: str
    fd_infinity: float
    """Relative, a fraction."""
    error: float
    """Its standard error over images."""
    accuracy: float | None
    """Null where no digits were asked for."""
    rank: int
    """1: the lowest FD∞ of all by this judge."""


class Agreement(Strict):
    """How alike two judges rank the cells."""

    judge: str
    other: str
    tau: float
    """Kendall's: 1 for one order, -1 for the reverse."""


class RankDisagreement(Strict):
    """Two cells that two judges put in another order, each by more than the luck of drawing."""

    cell: str
    other: str
    differences: dict[str, float]
    """By judge: the first's FD∞ less the second's."""
    errors: dict[str, float]


class RanksReport(Sourced):
    """reports/ranks.json: every cell of the usual n by the judge and by other classifiers."""

    n: int
    level: float
    judges: dict[str, Digest]
    """Digests of their weights; the first is the one that all other pages are by."""
    cells: list[RankedCell]
    """By judge, from the lowest."""
    agreement: list[Agreement]
    disagreements: list[RankDisagreement]
