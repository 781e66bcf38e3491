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

from mnist_diffusion.evaluation.cell_scores import CellScores, UntestableError
from mnist_diffusion.evaluation.designs import Fit, InestimableError
from mnist_diffusion.evaluation.identities import IDENTITIES, Drawn
from mnist_diffusion.evaluation.metrics import METRICS
from mnist_diffusion.evaluation.quantities import (
    Quantity,
    Relation,
    excess,
    finding,
    holm,
    holm_levels,
    mean,
    nearest_bound,
    share_of,
)
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
                quantity = (self.scores.over if shared else self.scores.less)(cell, baseline, name)
                label = f"{METRICS[name].title}, {cell} less {baseline}"
                label += ", of it" if shared else ""
                label += self.scores.of_two_trainings(cell, baseline)
                yield Measured(label, quantity, relation, bound, "percent", (cell, baseline))

    @measure.register
    def _of_cells(self, test: ValueTest) -> Iterator[Measured | Fact]:
        relation, bound = _expected(test)
        metric = METRICS[test.metric]
        for cell in test.cells:
            quantity = self.scores.value(cell, test.metric)
            unit = metric.of_real(self.scores.report(cell)) if test.unit == "real" else 1.0
            if not unit:
                raise UntestableError(f"nothing is known of {test.metric} of real digits")
            label = f"{metric.title}, {cell}" + (", of real" if test.unit == "real" else "")
            form: Literal["percent", "plain"] = "percent" if metric.percent else "plain"
            yield Measured(label, quantity.scaled(1 / unit), relation, bound, form, (cell,))

    @measure.register
    def _rarest(self, test: RarestTest) -> Iterator[Measured | Fact]:
        relation, bound = _expected(test)
        report = self.scores.report(test.cell)
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
        back = _declared(self.fidelity, test.codec, "codec").back_drawn
        for cell in test.cells:
            for name in _with_twin(test.metric):
                quantity = self.scores.value(cell, name).less(_of_judged(back, name))
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
