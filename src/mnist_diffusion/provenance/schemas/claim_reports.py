"""What claims are judged by, and how: solvers along their paths, effects of training, verdicts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mnist_diffusion.provenance.schemas.artifact import Digest, Ends, Sourced, Strict
from mnist_diffusion.provenance.schemas.cell_reports import Verdict


class SolverError(Strict):
    """How far a solver ends from the exact solution, of the same noise."""

    evaluations: int
    """Of the network, an image."""
    rmse: float
    """Over images and pixels in [-1, 1]."""
    squares: list[float]
    """Mean square of each image."""


class Settling(Strict):
    """The share of the steps after which each image's coarse and fine structure has settled."""

    coarse: list[float]
    fine: list[float]


class TrajectoriesReport(Sourced):
    """reports/trajectories.json: how drawing goes about it, from one run."""

    run: str
    weights_sha256: Digest
    exact: SolverError
    """Another solver of many steps, from what stands for the exact solution: how exact that is."""
    solvers: dict[str, SolverError]
    predicted: Settling
    """Of the clean image that the denoiser predicts, step by step."""
    noise: Settling
    """Of real digits in noise at the same levels, without a model."""


class MainEffect(Strict):
    """What a choice of training does to a distance, as a ratio, by trainings."""

    of: str
    factor: str
    level: str
    base: str
    metric: str
    trainings: int
    """That have seen the level."""
    ratio: float
    interval: Ends
    """All of an analysis under one extractor hold the truth at once so often."""
    p: float
    """Of this effect by itself."""
    p_adjusted: float
    verdict: Verdict


class AliasShare(Strict):
    """An interaction of two factors that a main effect cannot be told from, wholly or in part."""

    factor: str
    interaction: Annotated[tuple[str, str], Field(strict=False)]
    share: float
    """Of the interaction that would be taken for the effect, at most: 1 is all of it."""


class EffectsReport(Strict):
    """One analysis of trainings."""

    trainings: int
    df: int
    spread: dict[str, float]
    """Of the log distance from training to training, by metric."""
    blocked: bool
    """Whether the seed is a factor too."""
    effects: list[MainEffect]
    aliases: list[AliasShare]
    arms: dict[str, list[str]]
    """Cells whose runs differ in nothing but the seed, by the first of them."""


Relation = Literal["below", "above", "within", "beyond"]
"""below and above a bound; within ± a margin, or beyond it on either side."""
Finding = Literal["holds", "fails", "unresolved"]


class Statement(Strict):
    """One quantity against its bound, at the level that goes with the family of its claim."""

    label: str
    form: Literal["ratio", "percent", "plain"]
    estimate: float
    interval: Ends
    relation: Relation
    bound: float
    finding: Finding
    cells: list[str]


class Fact(Strict):
    """What is so by construction, or is not."""

    words: str
    true: bool


Outcome = Literal["holds", "fails", "depends", "unresolved", "identity", "not testable here"]


class ClaimVerdict(Strict):
    """What came of a claim."""

    outcome: Outcome
    family: str
    level: float | None
    """How sure its intervals are; null where there are none."""
    p: float | None
    p_holm: float | None
    statements: list[Statement]
    facts: list[Fact]
    why: str
    """Why it could not be tested; empty where it was."""


class ClaimsReport(Sourced):
    """reports/claims.json: the effects of training, and a verdict for every claim."""

    level: float
    effects: dict[str, EffectsReport]
    claims: dict[str, ClaimVerdict]
