"""The declared analyses of trainings: what each choice does to a distance, and how surely."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from mnist_diffusion.evaluation.designs import (
    LEAST,
    Design,
    Fit,
    InestimableError,
    Row,
    arms,
    crossed,
)
from mnist_diffusion.evaluation.families import Family
from mnist_diffusion.evaluation.metrics import METRICS
from mnist_diffusion.evaluation.quantities import verdict
from mnist_diffusion.provenance.schemas.cell_reports import CellMetrics
from mnist_diffusion.provenance.schemas.claim_reports import EffectsReport, MainEffect
from mnist_diffusion.settings import Run
from mnist_diffusion.settings.claims import ARM, Effects

SEED = "seed"
SMALLEST = 1e-6
"""A distance that is debiased to less is taken for this: a logarithm needs one above 0."""


@dataclass(frozen=True)
class Analysis:
    """A design of trainings, fitted to the logarithm of a distance under both extractors."""

    name: str
    declared: Effects
    design: Design
    fits: Mapping[str, Fit]
    """By metric; none where too few trainings are declared to tell their spread."""
    arms: Mapping[str, list[str]]

    @property
    def blocked(self) -> bool:
        """Whether all levels have seen the same seeds, and what a seed does is taken out."""
        return SEED in self.design.factors

    def report(self, level: float, seed: int) -> EffectsReport:
        """Every effect that three trainings or more have seen at both its levels.

        Under each extractor all intervals hold the truth at once as often as `level` says.
        """
        fits = self.fits.values()
        return EffectsReport(
            trainings=len(self.design.rows),
            df=next((fit.df for fit in fits), 0),
            spread={metric: fit.spread for metric, fit in self.fits.items()},
            blocked=self.blocked,
            effects=list(self._effects(level, seed)),
            aliases=self.design.aliases(),
            arms=dict(self.arms),
        )

    def _effects(self, level: float, seed: int) -> Iterator[MainEffect]:
        first = next(iter(self.fits.values()), None)
        told = list(self.told(first)) if first else []
        if not told or not first:
            return
        family = Family.of_trainings(first, [first.weights(*one) for one in told], seed)
        reach = family.reach(level)
        for factor, choice, base in told:
            for metric, fit in self.fits.items():
                found = fit.effect(factor, choice, base)
                p = found.p(0.0)
                ends = found.around(reach)
                margin, lower = math.log(self.declared.margin), METRICS[metric].lower_is_better
                yield MainEffect(
                    of=self.name,
                    factor=factor,
                    level=choice,
                    base=base,
                    metric=metric,
                    trainings=self.design.count(factor, choice),
                    ratio=math.exp(found.estimate),
                    interval=(math.exp(ends[0]), math.exp(ends[1])),
                    p=p,
                    p_adjusted=family.adjusted(p, fit.df),
                    verdict=verdict(ends, margin, lower),
                )

    def told(self, fit: Fit) -> Iterator[tuple[str, str, str]]:
        """The declared contrasts that the trainings can tell."""
        for factor, pairs in self.declared.contrasts.items():
            for choice, base in pairs:
                with suppress(InestimableError):
                    fit.weights(factor, choice, base)
                    yield factor, choice, base


def analysed(
    name: str, declared: Effects, runs: Mapping[str, Run], cells: Mapping[str, CellMetrics]
) -> Analysis:
    """Fit what is declared; `runs` by the names of the cells."""
    trainings = {cell: runs[cell].model_dump() for cell in declared.cells}
    alike = arms(trainings)
    rows: list[Row] = [row(declared, runs[cell], _first(alike, cell)) for cell in declared.cells]
    factors = list(declared.factors) or [ARM]
    seeds = [str(runs[cell].seed) for cell in declared.cells]
    seeded: list[Row] = [{**one, SEED: seed} for one, seed in zip(rows, seeds, strict=True)]
    if len(factors) == 1 and crossed(seeded, factors[0], SEED):
        rows, factors = seeded, [*factors, SEED]
    design = Design(rows, factors)
    twin = METRICS[declared.metric].twin
    fits: dict[str, Fit] = {}
    for metric in filter(None, (declared.metric, twin)):
        distances = [METRICS[metric].of(cells[cell]) for cell in declared.cells]
        try:
            fits[metric] = design.fit([_log(distance) for distance in distances])
        except InestimableError:
            break
    several = {first: names for first, names in alike.items() if len(names) >= LEAST}
    return Analysis(name, declared, design, fits, several)


def row(declared: Effects, run: Run, arm: str) -> Row:
    """The level of each factor that a run has."""
    if not declared.factors:
        return {ARM: arm}
    return {
        factor: "/".join(str(getattr(run, key)) for key in keys)
        for factor, keys in declared.factors.items()
    }


def _first(alike: Mapping[str, list[str]], cell: str) -> str:
    return next(first for first, names in alike.items() if cell in names)


def _log(distance: float | None) -> float:
    return math.log(max(distance or 0.0, SMALLEST))
