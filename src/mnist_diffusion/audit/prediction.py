"""What a committed run predicts for another training: intervals of its scores, and their luck.

A score is the logarithm of a distance. Another training's differs from it by what trainings of one
arm do that differ in their seed alone, pooled over arms, and by the errors of either set's images:
a t interval, of as many degrees of freedom as trainings tell the spread.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from mnist_diffusion.evaluation.designs import arms
from mnist_diffusion.evaluation.effects import SMALLEST
from mnist_diffusion.evaluation.metrics import METRICS
from mnist_diffusion.evaluation.quantities import Quantity
from mnist_diffusion.provenance.schemas.cell_reports import CellMetrics
from mnist_diffusion.settings import Settings

RARE = 0.01
"""How seldom more scores than "by chance" are outside, if all is well."""
DRAWS = 20_000

Judged = Mapping[str, CellMetrics]


@dataclass(frozen=True)
class Spread:
    """Of a log distance, between trainings that differ in their seed alone."""

    variance: float
    """What the errors of images add is not in it."""
    df: int


def log(judgement: CellMetrics, metric: str) -> Quantity:
    """The logarithm of a distance, with the error of its images."""
    value = max(METRICS[metric].of(judgement) or 0.0, SMALLEST)
    return Quantity(math.log(value), judgement.errors[metric] / value)


def alike(settings: Settings, judged: Judged) -> list[list[str]]:
    """The cells of trainings that differ in their seed alone and were drawn one way, most first."""
    drawn = {}
    for cell in judged:
        way = settings.cells[cell].model_dump()
        training = settings.denoisers[way.pop("run")].model_dump()
        drawn[cell] = {**way, "seed": training.pop("seed"), "training": training}
    found = sorted(arms(drawn).values(), key=len, reverse=True)
    return [cells for cells in found if len({judged[cell].run for cell in cells}) == len(cells) > 1]


def spread(settings: Settings, judged: Judged, metric: str) -> Spread | None:
    """Pooled over arms; None where no two of `judged` are trainings of one.

    Of the ways in which the same trainings were drawn one counts: another is no other luck.
    """
    squares, df, errors = 0.0, 0, list[float]()
    seen = set[str]()
    for cells in alike(settings, judged):
        runs = {judged[cell].run for cell in cells}
        if not runs & seen:
            logs = [log(judged[cell], metric) for cell in cells]
            squares += len(logs) * float(np.var([one.estimate for one in logs]))
            df += len(logs) - 1
            errors += [one.error**2 for one in logs]
        seen |= runs
    return Spread(max(0.0, squares / df - float(np.mean(errors))), df) if df else None


def predicted(own: Quantity, error: float, varies: Spread) -> Quantity:
    """The log distance of another training, whose images have such an error."""
    both = math.sqrt(2 * varies.variance + own.error**2 + error**2)
    return Quantity(own.estimate, both, varies.df)


def by_chance(sizes: Sequence[int], level: float, df: int) -> int:
    """How many scores may be outside of intervals at `level`: more are in RARE of repetitions.

    `sizes` are the scores of each training, which are outside together at worst; and so are all
    where the one spread, known by `df` trainings, came out too small. Were it known, and each
    training of one score, this would be a binomial.
    """
    random = np.random.default_rng(0)
    luck = random.standard_normal((DRAWS, len(sizes)))
    known = np.sqrt(random.chisquare(df, (DRAWS, 1)) / df)
    outside = np.abs(luck) > student.ppf((1 + level) / 2, df) * known
    return int(np.quantile(outside @ np.asarray(sizes), 1 - RARE, method="higher"))
