"""What claims are judged by, and what each kind of test comes to. No torch.

Every kind of test gives quantities with errors; what is so by construction gives facts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatchmethod
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from mnist_diffusion.evaluation.cell_scores import CellScores, UntestableError
from mnist_diffusion.evaluation.designs import Fit
from mnist_diffusion.evaluation.identities import IDENTITIES, Drawn
from mnist_diffusion.evaluation.metrics import METRICS
from mnist_diffusion.evaluation.quantities import (
    Quantity,
    excess,
    finding,
    mean,
    nearest_bound,
    share_of,
)
from mnist_diffusion.provenance.schemas.claim_reports import (
    Fact,
    Relation,
    Statement,
    TrajectoriesReport,
)
from mnist_diffusion.provenance.schemas.encoder_reports import (
    AdherenceReport,
    DigitsJudged,
    FidelityReport,
    SeamsReport,
)
from mnist_diffusion.settings.claims import (
    AdherenceTest,
    CeilingTest,
    CostTest,
    DifferenceTest,
    EffectTest,
    FidelityTest,
    IdentityTest,
    LossTest,
    Measurable,
    OrderTest,
    RarestTest,
    SeamTest,
    SolverTest,
    Test,
    Untestable,
    ValueTest,
)


@dataclass(frozen=True)
class Measured:
    """A quantity, what it is, and the test that holds it against a bound."""

    test: Measurable
    label: str
    quantity: Quantity
    cells: Sequence[str] = ()
    form: Literal["ratio", "percent", "plain"] = "percent"
    """ratio: of the quantity, which is a logarithm, the exponential is shown."""

    @property
    def relation(self) -> Relation:
        return next(iter(self.test.expect))

    @property
    def bound(self) -> float:
        """As the quantity is: of a ratio the logarithm."""
        bound = self.test.expect[self.relation]
        return math.log(bound) if self.form == "ratio" else bound

    def p(self) -> float:
        """Of the estimate if the truth were the bound that decides."""
        return self.quantity.p(nearest_bound(self.quantity, self.relation, self.bound))

    def stated(self, level: float) -> Statement:
        """As it is published, with an interval as sure as `level`."""
        low, high = self.quantity.interval(level)
        shown = math.exp if self.form == "ratio" else float
        return Statement(
            label=self.label,
            form=self.form,
            estimate=shown(self.quantity.estimate),
            interval=(shown(low), shown(high)),
            relation=self.relation,
            bound=shown(self.bound),
            finding=finding((low, high), self.relation, self.bound),
            cells=list(self.cells),
        )


@dataclass(frozen=True)
class Evidence:
    """All that claims are judged by."""

    level: float
    scores: CellScores
    drawn: Mapping[str, Drawn]
    """How the cells came about."""
    effects: Mapping[str, Mapping[str, Fit]]
    """By analysis and metric."""
    losses: Mapping[str, NDArray[np.float64]]
    """By run: the share of the minimised loss in each third of the timesteps, (blocks, 3)."""
    betas: Mapping[str, NDArray[np.float64]]
    """By run."""
    trajectories: TrajectoriesReport
    real_shares: Mapping[str, float]
    """By digit."""
    adherence: Mapping[str, AdherenceReport]
    """By cell,"""
    fidelity: Mapping[str, FidelityReport]
    """by codec,"""
    seams: Mapping[str, SeamsReport]
    """and by cell."""

    @singledispatchmethod
    def measure(self, test: Test) -> Iterator[Measured | Fact]:
        """What a test comes to; UntestableError if something for it is not declared."""
        raise NotImplementedError(type(test))

    @measure.register
    def _effect(self, test: EffectTest) -> Iterator[Measured | Fact]:
        if not self.effects.get(test.of):
            raise UntestableError(f"analysis {test.of}: not declared, or of too few trainings")
        for metric, fit in self.effects[test.of].items():
            quantity = fit.effect(test.factor, test.level, test.base)
            label = f"{METRICS[metric].title}, {test.level} over {test.base}"
            yield Measured(test, label, quantity, form="ratio")

    @measure.register
    def _difference(self, test: DifferenceTest) -> Iterator[Measured | Fact]:
        for cell, baseline in test.pairs:
            for name in _with_twin(test.metric):
                shared = test.unit == "baseline"
                quantity = (self.scores.over if shared else self.scores.less)(cell, baseline, name)
                label = f"{METRICS[name].title}, {cell} less {baseline}"
                label += ", of it" if shared else ""
                label += self.scores.of_two_trainings(cell, baseline)
                yield Measured(test, label, quantity, (cell, baseline))

    @measure.register
    def _of_cells(self, test: ValueTest) -> Iterator[Measured | Fact]:
        metric = METRICS[test.metric]
        for cell in test.cells:
            quantity = self.scores.value(cell, test.metric)
            unit = metric.of_real(self.scores.report(cell)) if test.unit == "real" else 1.0
            if not unit:
                raise UntestableError(f"nothing is known of {test.metric} of real digits")
            label = f"{metric.title}, {cell}" + (", of real" if test.unit == "real" else "")
            form: Literal["percent", "plain"] = "percent" if metric.percent else "plain"
            yield Measured(test, label, quantity.scaled(1 / unit), (cell,), form)

    @measure.register
    def _rarest(self, test: RarestTest) -> Iterator[Measured | Fact]:
        report = self.scores.report(test.cell)
        found = {digit: share or 0.0 for digit, share in report.predicted_per_class.items()}
        rarest = min(found, key=lambda digit: found[digit] / self.real_shares[digit])
        quantity = share_of(found[rarest], report.n)
        label = f"digit {rarest}, the rarest of {test.cell}, of its share of real digits"
        scaled = quantity.scaled(1 / self.real_shares[rarest])
        yield Measured(test, label, scaled, (test.cell,), "plain")

    @measure.register
    def _solver(self, test: SolverTest) -> Iterator[Measured | Fact]:
        own, other = (
            np.array(_declared(self.trajectories.solvers, name, "solver").squares)
            for name in (test.solver, test.baseline)
        )
        label = f"RMSE to the exact solution, {test.solver} less {test.baseline}, of it"
        yield Measured(test, label, excess(own, other))

    @measure.register
    def _order(self, test: OrderTest) -> Iterator[Measured | Fact]:
        own, noise = self.trajectories.predicted, self.trajectories.noise
        found = [mean(np.array(one.fine) - np.array(one.coarse)) for one in (own, noise)]
        label = "fine less coarse, of the steps, less that of real digits in noise"
        yield Measured(test, label, found[0].less(found[1]))

    @measure.register
    def _loss(self, test: LossTest) -> Iterator[Measured | Fact]:
        quantity = mean(_declared(self.losses, test.run, "run")[:, test.third])
        third = ("least noisy", "middle", "noisiest")[test.third]
        label = f"share of the minimised loss, {third} third, {test.run}"
        yield Measured(test, label, quantity)

    @measure.register
    def _adherence(self, test: AdherenceTest) -> Iterator[Measured | Fact]:
        cells = [name for name in (test.cell, test.base) if name is not None]
        own, *others = (self._obeying(name, test) for name in cells)
        quantity = own.less(others[0]) if others else own
        what = {"everything": "all that is asked", "digit": "the digit"}.get(test.share, test.share)
        label = f"{what} as asked, {' less '.join(cells)}"
        label += "" if test.among == "all" else f", {test.among.replace('_', ' ')}"
        yield Measured(test, label, quantity, cells)

    @measure.register
    def _fidelity(self, test: FidelityTest) -> Iterator[Measured | Fact]:
        own, what = _declared(self.fidelity, test.codec, "codec"), "the digits"
        base = own.real
        if test.base != "real":
            base, what = _declared(self.fidelity, test.base, "codec").back, f"by way of {test.base}"
        for name in _with_twin(test.metric):
            quantity = _of_judged(own.back, name).less(_of_judged(base, name))
            label = f"{METRICS[name].title}, digits by way of {test.codec} less {what}"
            yield Measured(test, label, quantity)

    @measure.register
    def _ceiling(self, test: CeilingTest) -> Iterator[Measured | Fact]:
        back = _declared(self.fidelity, test.codec, "codec").back_drawn
        for cell in test.cells:
            for name in _with_twin(test.metric):
                quantity = self.scores.value(cell, name).less(_of_judged(back, name))
                label = f"{METRICS[name].title}, {cell} less real digits by way of {test.codec}"
                yield Measured(test, label, quantity, (cell,))

    @measure.register
    def _cost(self, test: CostTest) -> Iterator[Measured | Fact]:
        counted = _declared(self.fidelity, test.codec, "codec")
        quantity = Quantity(counted.pixel_mflop / counted.latent_mflop, 0.0)
        label = f"operations of a U-Net call in pixels, over those in {test.codec}"
        yield Measured(test, label, quantity, form="plain")

    @measure.register
    def _seam(self, test: SeamTest) -> Iterator[Measured | Fact]:
        own = _declared(self.seams, test.cell, "cell of drawn halves")
        base = own.real
        if test.base != "real":
            base = _declared(self.seams, test.base, "cell of drawn halves").drawn
        if len(base) != len(own.drawn):
            raise UntestableError(f"{test.cell} and {test.base} are of other numbers of images")
        quantity = mean(np.array(own.drawn) - np.array(base)).scaled(1 / float(np.mean(own.real)))
        label = f"step across the edge, {test.cell} less {test.base}, of the real one"
        cells = (test.cell,) if test.base == "real" else (test.cell, test.base)
        yield Measured(test, label, quantity, cells)

    @measure.register
    def _identity(self, test: IdentityTest) -> Iterator[Measured | Fact]:
        facts = IDENTITIES[test.of](self.betas, self.drawn)
        yield from (Fact(words=words, true=true) for words, true in facts.items())

    @measure.register
    def _untestable(self, test: Untestable) -> Iterator[Measured | Fact]:
        raise UntestableError(test.why)

    def _obeying(self, cell: str, test: AdherenceTest) -> Quantity:
        group = getattr(_declared(self.adherence, cell, "cell asked in words"), test.among)
        share = getattr(group, test.share)
        if share is None:
            raise UntestableError(f"{cell} has no such prompts")
        return share_of(share, group.n)


Report = TypeVar("Report")


def _declared(reports: Mapping[str, Report], name: str, what: str) -> Report:
    if name not in reports:
        raise UntestableError(f"no {what} {name} is declared")
    return reports[name]


def _of_judged(digits: DigitsJudged, metric: str) -> Quantity:
    """A score of all test digits."""
    return Quantity(getattr(digits, metric), digits.errors[metric])


def _with_twin(metric: str) -> Iterator[str]:
    """A distance under both feature extractors: no verdict rests on one."""
    twin = METRICS[metric].twin
    yield from (metric, twin) if twin else (metric,)
