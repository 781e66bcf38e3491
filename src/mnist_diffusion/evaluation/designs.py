"""What choices of training do to a score, with trainings as what varies: least squares. No torch.

One row is one training: its levels of some factors, and the logarithm of its score. The spread is
that of the residuals, pooled over all arms, so that a difference of two levels has a t interval of
as many degrees of freedom as trainings are left over. What the design cannot tell apart is
computed from the design.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_diffusion.evaluation.quantities import Quantity
from mnist_diffusion.provenance.schemas.claim_reports import AliasShare

Row = Mapping[str, str]
Matrix = NDArray[np.float64]
CLEAR = 1e-9
"""What rounding leaves of a coefficient that is 0."""
LEAST = 3
"""Trainings that must have seen a level before anything is said of it."""


class InestimableError(ValueError):
    """What the trainings at hand cannot tell."""


class Design:
    """The levels of some factors in each training."""

    def __init__(self, rows: Sequence[Row], factors: Sequence[str]):
        self.rows, self.factors = list(rows), list(factors)
        self.levels = {f: list(dict.fromkeys(row[f] for row in self.rows)) for f in self.factors}

    def count(self, factor: str, level: str) -> int:
        """How many trainings have seen a level."""
        return sum(row[factor] == level for row in self.rows)

    def fit(self, scores: Sequence[float]) -> Fit:
        """Least squares of the main effects; InestimableError if no training is left over."""
        matrix = self._indicators()
        df = len(scores) - int(np.linalg.matrix_rank(matrix))
        if df < 1:
            raise InestimableError(f"{len(scores)} trainings leave none over to tell their spread")
        return Fit(self, matrix, np.asarray(scores, dtype=np.float64), df)

    def contrast(self, factor: str, level: str, base: str) -> Matrix:
        """What a level has more than another, by coefficients; (columns,)."""
        signs = {level: 1.0, base: -1.0}
        own = [
            signs.get(name, 0.0) if f == factor else 0.0
            for f in self.factors
            for name in self.levels[f]
        ]
        return np.array([0.0, *own])

    def aliases(self) -> list[AliasShare]:
        """Every interaction of two factors that is mixed into a main effect.

        The alias matrix (X'X)^-1 X'Z of contrasts of unit variance (Box & Draper 1987).
        """
        parts = {factor: self._contrasts(factor) for factor in self.factors}
        mains = np.hstack([np.ones((len(self.rows), 1)), *parts.values()])
        inverse = np.linalg.pinv(mains)
        found = []
        for one, other in combinations(self.factors, 2):
            products = np.einsum("ri,rj->rij", parts[one], parts[other])
            mixed = inverse @ products.reshape(len(self.rows), -1)
            for factor, columns in self._columns(parts):
                share = float(np.linalg.norm(mixed[columns], ord=2))
                if share > CLEAR:
                    found.append(AliasShare(factor=factor, interaction=(one, other), share=share))
        return found

    def _columns(self, parts: Mapping[str, Matrix]) -> Iterator[tuple[str, slice]]:
        start = 1
        for factor, part in parts.items():
            yield factor, slice(start, start + part.shape[1])
            start += part.shape[1]

    def _indicators(self) -> Matrix:
        """A column of ones, and one for each level; more than there is to know, on purpose."""
        columns = [
            [float(row[factor] == level) for row in self.rows]
            for factor in self.factors
            for level in self.levels[factor]
        ]
        return np.array([[1.0] * len(self.rows), *columns]).T

    def _contrasts(self, factor: str) -> Matrix:
        """One less than levels, orthogonal over the trainings and of unit variance: (rows, k)."""
        levels = self.levels[factor]
        own = np.array([[float(row[factor] == level) for level in levels] for row in self.rows])
        centred = own - own.mean(axis=0)
        basis, sizes, _ = np.linalg.svd(centred, full_matrices=False)
        kept = sizes > CLEAR * max(1.0, float(sizes.max(initial=0.0)))
        return np.asarray(basis[:, kept] * np.sqrt(len(self.rows)))


@dataclass(frozen=True)
class Fit:
    """Main effects of a design, and the spread of a training about them."""

    design: Design
    matrix: Matrix
    """(rows, coefficients)"""
    scores: Matrix
    """(rows,)"""
    df: int

    @cached_property
    def inverse(self) -> Matrix:
        """(coefficients, rows): what makes coefficients of scores."""
        return np.asarray(np.linalg.pinv(self.matrix), dtype=np.float64)

    @cached_property
    def leftover(self) -> Matrix:
        """(rows, rows): what makes residuals of scores."""
        return np.eye(len(self.scores), dtype=np.float64) - self.matrix @ self.inverse

    @property
    def spread(self) -> float:
        """Standard deviation of one training's log score."""
        return float(np.linalg.norm(self.leftover @ self.scores) / np.sqrt(self.df))

    def effect(self, factor: str, level: str, base: str) -> Quantity:
        """The log ratio of two levels; InestimableError where the rows cannot tell it."""
        weights = self.weights(factor, level, base)
        error = self.spread * float(np.linalg.norm(weights))
        return Quantity(float(weights @ self.scores), error, self.df)

    def weights(self, factor: str, level: str, base: str) -> Matrix:
        """What each training's score has to do with it, (rows,); InestimableError as above."""
        for name in (level, base):
            seen = self.design.count(factor, name) if factor in self.design.factors else 0
            if seen < LEAST:
                raise InestimableError(f"{seen} trainings have {factor} {name}, {LEAST} are needed")
        contrast = self.design.contrast(factor, level, base)
        weights: Matrix = contrast @ self.inverse
        if not np.allclose(weights @ self.matrix, contrast, atol=1e-8):
            raise InestimableError(f"{factor}: {level} and {base} never differ by that alone")
        return weights


def largest_t(fit: Fit, weights: Sequence[Matrix], luck: Matrix) -> Matrix:
    """(draws,): the largest |t| of differences that are none, in made-up luck (draws, rows)."""
    spread = np.linalg.norm(luck @ fit.leftover, axis=1) / np.sqrt(fit.df)
    units = np.array([weight / np.linalg.norm(weight) for weight in weights])
    largest: Matrix = np.abs(luck @ units.T).max(axis=1) / spread
    return largest


def arms(trainings: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Trainings that differ in nothing but the seed, by the name of the first of them."""
    found: dict[tuple[Any, ...], list[str]] = {}
    for name, settings in trainings.items():
        alike = tuple(sorted((k, str(v)) for k, v in settings.items() if k != "seed"))
        found.setdefault(alike, []).append(name)
    return {names[0]: names for names in found.values()}


def crossed(rows: Sequence[Row], factor: str, block: str) -> bool:
    """Whether every level of a factor has seen the same blocks, each as often."""
    seen: dict[str, list[str]] = {}
    for row in rows:
        seen.setdefault(row[factor], []).append(row[block])
    blocks = [sorted(own) for own in seen.values()]
    return len(blocks[0]) > 1 and all(own == blocks[0] for own in blocks)
