"""Claims judged by what was measured: a statement a test, an outcome a claim. No torch.

Every kind of test gives quantities with errors, and a bound to hold them against; a claim holds if
all its statements do. What is so by construction gives facts, and is tallied apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatchmethod
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from mnist_diffusion.evaluation.designs import Fit, InestimableError
from mnist_diffusion.evaluation.identities import IDENTITIES, Drawn
from mnist_diffusion.evaluation.metrics import METRICS
from mnist_diffusion.evaluation.quantities import (
    Quantity,
    Relation,
    finding,
    holm,
    holm_levels,
    nearest_bound,
    of_interval,
)
from mnist_diffusion.provenance.schemas.cell_reports import CellMetrics, PairedComparison
from mnist_diffusion.provenance.schemas.claim_reports import (
    ClaimVerdict,
    Fact,
    Outcome,
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
    Claim,
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


class UntestableError(Exception):
    """What a claim needs is not there at this scale; the message says what."""


@dataclass(frozen=True)
class Measured:
    """A quantity, what it is, and what it is held against."""

    label: str
    quantity: Quantity
    relation: Relation
    bound: float
    form: Literal["ratio", "percent", "plain"] = "plain"
    """ratio: of the quantity, which is a logarithm, the exponential is shown."""
    cells: tuple[str, ...] = ()

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
    cells: Mapping[str, CellMetrics]
    drawn: Mapping[str, Drawn]
    """How the cells came about."""
    compared: Sequence[PairedComparison]
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
        relation, ratio = _expected(test)
        if not self.effects.get(test.of):
            raise UntestableError(f"analysis {test.of}: not declared, or of too few trainings")
        for metric, fit in self.effects[test.of].items():
            quantity = fit.effect(test.factor, test.level, test.base)
            label = f"{METRICS[metric].title}, {test.level} over {test.base}"
            yield Measured(label, quantity, relation, math.log(ratio), "ratio")

    @measure.register
    def _difference(self, test: DifferenceTest) -> Iterator[Measured | Fact]:
        relation, bound = _expected(test)
        for cell, baseline in test.pairs:
            for name in _with_twin(test.metric):
                shared = test.unit == "baseline"
                quantity = (self._over if shared else self._less)(cell, baseline, name)
                label = f"{METRICS[name].title}, {cell} less {baseline}"
                label += ", of it" if shared else ""
                label += self._of_two_trainings(cell, baseline)
                yield Measured(label, quantity, relation, bound, "percent", (cell, baseline))

    @measure.register
    def _of_cells(self, test: ValueTest) -> Iterator[Measured | Fact]:
        relation, bound = _expected(test)
        metric = METRICS[test.metric]
        for cell in test.cells:
            quantity = self._value(cell, test.metric)
            unit = metric.of_real(self.cells[cell]) if test.unit == "real" else 1.0
            if not unit:
                raise UntestableError(f"nothing is known of {test.metric} of real digits")
            label = f"{metric.title}, {cell}" + (", of real" if test.unit == "real" else "")
            form: Literal["percent", "plain"] = "percent" if metric.percent else "plain"
            yield Measured(label, quantity.scaled(1 / unit), relation, bound, form, (cell,))

    @measure.register
    def _rarest(self, test: RarestTest) -> Iterator[Measured | Fact]:
        relation, bound = _expected(test)
        if test.cell not in self.cells:
            raise UntestableError(f"no cell {test.cell} is declared")
        report = self.cells[test.cell]
        found = {digit: share or 0.0 for digit, share in report.predicted_per_class.items()}
        rarest = min(found, key=lambda digit: found[digit] / self.real_shares[digit])
        quantity = share_of(found[rarest], report.n)
        label = f"digit {rarest}, the rarest of {test.cell}, of its share of real digits"
        scaled = quantity.scaled(1 / self.real_shares[rarest])
        yield Measured(label, scaled, relation, bound, cells=(test.cell,))

    @measure.register
    def _solver(self, test: SolverTest) -> Iterator[Measured | Fact]:
        relation, bound = _expected(test)
        errors = self.trajectories.solvers
        for name in (test.solver, test.baseline):
            if name not in errors:
                raise UntestableError(f"no solver {name} is declared")
        own, other = errors[test.solver], errors[test.baseline]
        quantity = excess(np.array(own.squares), np.array(other.squares))
        label = f"RMSE to the exact solution, {test.solver} less {test.baseline}, of it"
        yield Measured(label, quantity, relation, bound, "percent")

    @measure.register
    def _order(self, test: OrderTest) -> Iterator[Measured | Fact]:
        relation, bound = _expected(test)
        own, noise = self.trajectories.predicted, self.trajectories.noise
        found = [mean(np.array(one.fine) - np.array(one.coarse)) for one in (own, noise)]
        label = "fine less coarse, of the steps, less that of real digits in noise"
        yield Measured(label, found[0].less(found[1]), relation, bound, "percent")

    @measure.register
    def _loss(self, test: LossTest) -> Iterator[Measured | Fact]:
        relation, bound = _expected(test)
        if test.run not in self.losses:
            raise UntestableError(f"no run {test.run} is declared")
        quantity = mean(self.losses[test.run][:, test.third])
        third = ("least noisy", "middle", "noisiest")[test.third]
        label = f"share of the minimised loss, {third} third, {test.run}"
        yield Measured(label, quantity, relation, bound, "percent")

    @measure.register
    def _adherence(self, test: AdherenceTest) -> Iterator[Measured | Fact]:
        relation, bound = _expected(test)
        cells = [name for name in (test.cell, test.base) if name is not None]
        own, *others = (self._obeying(name, test) for name in cells)
        quantity = own.less(others[0]) if others else own
        what = {"everything": "all that is asked", "digit": "the digit"}.get(test.share, test.share)
        label = f"{what} as asked, {' less '.join(cells)}"
        label += "" if test.among == "all" else f", {test.among.replace('_', ' ')}"
        yield Measured(label, quantity, relation, bound, "percent", tuple(cells))

    @measure.register
    def _fidelity(self, test: FidelityTest) -> Iterator[Measured | Fact]:
        relation, bound = _expected(test)
        back = _declared(self.fidelity, test.codec, "codec")
        for name in _with_twin(test.metric):
            if test.base == "real":
                other = _of_judged(back.real, name)
            else:
                other = _of_judged(_declared(self.fidelity, test.base, "codec").back, name)
            quantity = _of_judged(back.back, name).less(other)
            label = f"{METRICS[name].title}, digits by way of {test.codec} less "
            label += "the digits" if test.base == "real" else f"by way of {test.base}"
            yield Measured(label, quantity, relation, bound, "percent")

    @measure.register
    def _ceiling(self, test: CeilingTest) -> Iterator[Measured | Fact]:
        relation, bound = _expected(test)
        back = _declared(self.fidelity, test.codec, "codec").back
        for cell in test.cells:
            for name in _with_twin(test.metric):
                quantity = self._value(cell, name).less(_of_judged(back, name))
                label = f"{METRICS[name].title}, {cell} less real digits by way of {test.codec}"
                yield Measured(label, quantity, relation, bound, "percent", (cell,))

    @measure.register
    def _cost(self, test: CostTest) -> Iterator[Measured | Fact]:
        relation, bound = _expected(test)
        counted = _declared(self.fidelity, test.codec, "codec")
        quantity = Quantity(counted.pixel_mflop / counted.latent_mflop, 0.0)
        label = f"operations of a U-Net call in pixels, over those in {test.codec}"
        yield Measured(label, quantity, relation, bound)

    @measure.register
    def _seam(self, test: SeamTest) -> Iterator[Measured | Fact]:
        relation, bound = _expected(test)
        own = _declared(self.seams, test.cell, "cell of drawn halves")
        base = own.real
        if test.base != "real":
            base = _declared(self.seams, test.base, "cell of drawn halves").drawn
        if len(base) != len(own.drawn):
            raise UntestableError(f"{test.cell} and {test.base} are of other numbers of images")
        quantity = mean(np.array(own.drawn) - np.array(base)).scaled(1 / float(np.mean(own.real)))
        label = f"step across the edge, {test.cell} less {test.base}, of the real one"
        cells = (test.cell,) if test.base == "real" else (test.cell, test.base)
        yield Measured(label, quantity, relation, bound, "percent", cells)

    @measure.register
    def _identity(self, test: IdentityTest) -> Iterator[Measured | Fact]:
        facts = IDENTITIES[test.of](self.betas, self.drawn)
        for words, true in facts.items():
            yield Fact(words=words, true=true)

    @measure.register
    def _untestable(self, test: Untestable) -> Iterator[Measured | Fact]:
        raise UntestableError(test.why)

    def _obeying(self, cell: str, test: AdherenceTest) -> Quantity:
        group = getattr(_declared(self.adherence, cell, "cell asked in words"), test.among)
        share = getattr(group, test.share)
        if share is None:
            raise UntestableError(f"{cell} has no such prompts")
        return share_of(share, group.n)

    def _value(self, cell: str, metric: str) -> Quantity:
        """A score of a cell; UntestableError if there is none, or nothing is known of its error."""
        if cell not in self.cells:
            raise UntestableError(f"no cell {cell} is declared")
        report = self.cells[cell]
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

    def _of_two_trainings(self, cell: str, baseline: str) -> str:
        """Over images, nothing is said of other trainings than these."""
        runs = {self.cells[name].run for name in (cell, baseline) if name in self.cells}
        return ", of these two trainings" if len(runs) > 1 else ""

    def _less(self, cell: str, baseline: str, metric: str) -> Quantity:
        """A difference: paired by image where it was computed so, or else of independent sets."""
        one = self._paired(cell, baseline, metric)
        if not one:
            own, other = self._unpaired(cell, baseline, metric)
            return own.less(other)
        found = Quantity(one.difference, one.error)
        return found if one.cell == cell else found.scaled(-1)

    def _over(self, cell: str, baseline: str, metric: str) -> Quantity:
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
        found = self._value(cell, metric), self._value(baseline, metric)
        if METRICS[metric].depends_on_n and self.cells[cell].n != self.cells[baseline].n:
            raise UntestableError(f"{cell} and {baseline} are of other numbers of images")
        return found


def excess(own: NDArray[np.float64], other: NDArray[np.float64]) -> Quantity:
    """How much larger a root mean square is than another of the same images, as a share of it.

    By the delta method: r = √(mean own / mean other) moves with an image by half of how its own
    square, over their mean, differs from its other.
    """
    ratio = float(np.sqrt(own.mean() / other.mean()))
    moves = ratio * (own / own.mean() - other / other.mean()) / 2
    return Quantity(ratio - 1, float(moves.std(ddof=1) / np.sqrt(len(moves))))


def mean(values: NDArray[np.float64]) -> Quantity:
    """The mean of independent values."""
    error = float(values.std(ddof=1) / np.sqrt(len(values)))
    return Quantity(float(values.mean()), error, len(values) - 1)


def share_of(share: float, n: int) -> Quantity:
    """A share of n independent images, of which none or all too may be luck.

    The error is that with two more that have it and two that have not (Agresti & Coull 1998).
    """
    shrunk = (n * share + 2) / (n + 4)
    return Quantity(share, math.sqrt(shrunk * (1 - shrunk) / (n + 4)))


def judged(claims: Mapping[str, Claim], evidence: Evidence) -> dict[str, ClaimVerdict]:
    """Every claim; within a family a false verdict is as rare as in a single one (Holm).

    A claim says that all its statements hold: its p-value is their largest (an intersection-union
    test: Berger 1982).
    """
    found = {name: _found(claim, evidence) for name, claim in claims.items()}
    verdicts: dict[str, ClaimVerdict] = {}
    for family in dict.fromkeys(claim.family for claim in claims.values()):
        own = [name for name in claims if claims[name].family == family]
        tested = [name for name in own if _quantities(found[name])]
        p_values = [max(one.p() for one in _quantities(found[name])) for name in tested]
        levels = dict(zip(tested, holm_levels(p_values, evidence.level), strict=True))
        p_of = dict(zip(tested, zip(p_values, holm(p_values), strict=True), strict=True))
        for name in own:
            verdicts[name] = _verdict(family, found[name], levels.get(name), p_of.get(name))
    return {name: verdicts[name] for name in claims}


Found = list[Measured | Fact] | str
"""What a claim's tests come to, or why there is nothing."""


def _found(claim: Claim, evidence: Evidence) -> Found:
    try:
        return [one for test in claim.tests for one in evidence.measure(test)]
    except (UntestableError, InestimableError) as error:
        return str(error)


def _quantities(found: Found) -> list[Measured]:
    return [one for one in found if isinstance(one, Measured)]


def _verdict(
    family: str, found: Found, level: float | None, p: tuple[float, float] | None
) -> ClaimVerdict:
    statements = [one.stated(level) for one in _quantities(found)] if level else []
    facts = [one for one in found if isinstance(one, Fact)]
    return ClaimVerdict(
        outcome="not testable here" if isinstance(found, str) else outcome(statements, facts),
        family=family,
        level=level,
        p=p[0] if p else None,
        p_holm=p[1] if p else None,
        statements=statements,
        facts=facts,
        why=found if isinstance(found, str) else "",
    )


def outcome(statements: Sequence[Statement], facts: Sequence[Fact]) -> Outcome:
    """All hold, none does, some do and some do not, or something is left open.

    Of facts alone: by construction, if all are so.
    """
    findings = {one.finding for one in statements} | {
        "holds" if fact.true else "fails" for fact in facts
    }
    if findings >= {"holds", "fails"}:
        return "depends"
    if "unresolved" in findings:
        return "unresolved"
    if findings == {"fails"}:
        return "fails"
    return "holds" if statements else "identity"


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


def _expected(test: Measurable) -> tuple[Relation, float]:
    [(relation, bound)] = test.expect.items()
    return relation, bound
