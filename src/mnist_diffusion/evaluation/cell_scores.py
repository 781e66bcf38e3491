"""Scores of cells as quantities with errors, alone and against one another. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mnist_diffusion.evaluation.metrics import METRICS
from mnist_diffusion.evaluation.quantities import Quantity, of_interval, share_of
from mnist_diffusion.provenance.schemas.cell_reports import CellMetrics, PairedComparison


class UntestableError(Exception):
    """What a claim needs is not there at this scale; the message says what."""


@dataclass(frozen=True)
class CellScores:
    """What was published of cells, and of pairs of them."""

    cells: Mapping[str, CellMetrics]
    compared: Sequence[PairedComparison]

    def report(self, cell: str) -> CellMetrics:
        """All of a cell's; UntestableError if there is none."""
        if cell not in self.cells:
            raise UntestableError(f"no cell {cell} is declared")
        return self.cells[cell]

    def value(self, cell: str, metric: str) -> Quantity:
        """A score of a cell; UntestableError if there is none, or nothing is known of its error."""
        report = self.report(cell)
        value, ends = METRICS[metric].of(report), report.intervals.get(metric)
        if value is None:
            raise UntestableError(f"{cell} has no {metric}")
        if metric in report.errors:
            return Quantity(value, report.errors[metric])
        if METRICS[metric].kind == "copies" and METRICS[metric].percent:
            return share_of(value, report.n)
        if not ends:
            raise UntestableError(f"nothing is known of the error of {metric}")
        return of_interval(value, ends, report.level)

    def of_two_trainings(self, cell: str, baseline: str) -> str:
        """Over images, nothing is said of other trainings than these."""
        runs = {self.cells[name].run for name in (cell, baseline) if name in self.cells}
        return ", of these two trainings" if len(runs) > 1 else ""

    def less(self, cell: str, baseline: str, metric: str) -> Quantity:
        """A difference: paired by image where it was computed so, or else of independent sets."""
        one = self._paired(cell, baseline, metric)
        if not one:
            own, other = self._unpaired(cell, baseline, metric)
            return own.less(other)
        found = Quantity(one.difference, one.error)
        return found if one.cell == cell else found.scaled(-1)

    def over(self, cell: str, baseline: str, metric: str) -> Quantity:
        """The same as a share of the baseline's, of which the luck counts too."""
        one, nothing = self._paired(cell, baseline, metric), f"{baseline} has no {metric}"
        if not one:
            own, other = self._unpaired(cell, baseline, metric)
        elif one.relative is None or one.relative_error is None:
            raise UntestableError(f"{nothing} to take a share of")
        else:
            own, other = Quantity(1 + one.relative, one.relative_error), Quantity(1.0, 0.0)
            own, other = (own, other) if one.cell == cell else (other, own)
        if other.estimate <= 0:
            raise UntestableError(f"{nothing} to take a share of")
        return own.over(other)

    def _paired(self, cell: str, baseline: str, metric: str) -> PairedComparison | None:
        """What was compared image by image, either way round."""
        pair = {cell, baseline}
        same = (o for o in self.compared if o.metric == metric and {o.cell, o.baseline} == pair)
        return next(same, None)

    def _unpaired(self, cell: str, baseline: str, metric: str) -> tuple[Quantity, Quantity]:
        """Both scores; UntestableError if they would differ for their numbers of images alone."""
        found = self.value(cell, metric), self.value(baseline, metric)
        if METRICS[metric].depends_on_n and self.cells[cell].n != self.cells[baseline].n:
            raise UntestableError(f"{cell} and {baseline} are of other numbers of images")
        return found
