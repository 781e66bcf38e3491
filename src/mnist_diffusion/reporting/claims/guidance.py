"""Claims of classifier-free guidance: label dropout, its ends, its price, its excess."""

from __future__ import annotations

from mnist_diffusion.reporting.claims.claim import (
    Claim,
    Datum,
    Outcome,
    Verdict,
    by_share,
)
from mnist_diffusion.reporting.claims.contrast import ends, measured, value, views
from mnist_diffusion.reporting.claims.select import at_scale, frontier, in_table
from mnist_diffusion.reporting.ranking import nearest, surest
from mnist_diffusion.reporting.results import CellResult, Results
from mnist_diffusion.reporting.words import points, spread


def _dropout(results: Results) -> Outcome:
    cells = frontier(results)
    plain, unlabelled = at_scale(cells, 1), at_scale(cells, 0)
    what = "an unconditional run of the same schedule"
    alike = in_table(results, "schedules", lambda c: _is_counterpart(c, unlabelled), what)[0]
    contrast = views(results, unlabelled, alike)
    obeys = ends(plain, "accuracy")[0] > 0.5
    verdict = by_share(obeys + (not contrast.any_worse), 2)
    dropped = 100 * results.settings.train.label_dropout
    obeyed = points(value(plain, "accuracy"))
    reason = (
        f"One network, {dropped:g} % of its labels dropped: with the label it draws the digit "
        f"asked for in {obeyed} % of images; without, its relative FD against that of a run "
        f"trained without labels{_other_loss(unlabelled, alike)} is {contrast.told()}. Other "
        "shares were not tried."
    )
    data = [measured(plain, "accuracy", f"accuracy, {plain.name}"), *contrast.data()]
    return Outcome(verdict, reason, data)


def _is_counterpart(cell: CellResult, unlabelled: CellResult) -> bool:
    mine, theirs = cell.run.settings, unlabelled.run.settings
    return mine.conditioning == "uncond" and (mine.schedule, mine.network) == (
        theirs.schedule,
        theirs.network,
    )


def _other_loss(one: CellResult, other: CellResult) -> str:
    same = one.run.settings.weighting == other.run.settings.weighting
    return "" if same else " (and with another loss)"


def _ends(results: Results) -> Outcome:
    cells = frontier(results)
    nothing, plain = at_scale(cells, 0), at_scale(cells, 1)
    conditions = {
        "s = 0 asks for no digit": bool((nothing.labels == -1).all()),
        "s = 0 evaluates one network a step": _calls(nothing) == 1,
        "s = 1 evaluates one network a step": _calls(plain) == 1,
        "s = 1 draws the digit asked for more often than chance": ends(plain, "accuracy")[0] > 0.1,
    }
    failing = [name for name, true in conditions.items() if not true]
    reason = f"Not so: {'; '.join(failing)}." if failing else "All that follows from it is so."
    data = [
        Datum(f"evaluations an image at s = {c.settings.guidance:g}", f"{_cost(c):,}", c.name)
        for c in cells[:4]
    ]
    data.append(measured(plain, "accuracy", "accuracy at s = 1"))
    return Outcome(by_share(len(conditions) - len(failing), len(conditions)), reason, data)


def _twice(results: Results) -> Outcome:
    cells = [c for c in frontier(results) if c.settings.guidance not in (0, 1)]
    held = sum(_calls(cell) == 2 for cell in cells)
    data = [
        Datum(f"evaluations a step, s = {c.settings.guidance:g}", f"{_calls(c):g}", c.name)
        for c in cells
    ]
    reason = f"{held} of {len(cells)} guided cells evaluate the network twice a step."
    return Outcome(by_share(held, len(cells)), reason, data)


def _trade(results: Results) -> Outcome:
    cells = frontier(results)
    plain, strong = at_scale(cells, 1), cells[-1]
    certain = surest([c for c in cells if c.asks_for_digits])
    adheres = ends(certain, "accuracy")[0] > ends(plain, "accuracy")[1]
    loses = ends(strong, "recall")[1] < ends(plain, "recall")[0]
    reason = (
        f"Accuracy {'rises' if adheres else 'does not rise clearly'} with s, recall "
        f"{'falls' if loses else 'does not fall clearly'} by s = {strong.settings.guidance:g}."
    )
    data = [
        measured(c, metric, f"{metric}, s = {c.settings.guidance:g}")
        for metric, pair in (("accuracy", (plain, certain)), ("recall", (plain, strong)))
        for c in pair
    ]
    return Outcome(by_share(adheres + loses, 2), reason, [*data, *_tstr(results, (plain, strong))])


def _tstr(results: Results, cells: tuple[CellResult, ...]) -> list[Datum]:
    found = [results.evidence.tstr[c.name] for c in cells if c.name in results.evidence.tstr]
    return [
        Datum(f"TSTR, {one.cell}", f"{points(one.accuracy)} % ({spread(one.interval)})", one.cell)
        for one in found
    ]


def _photographs(results: Results) -> Outcome:
    best = nearest(frontier(results))
    reason = (
        f"MNIST has no photographs. For its digits relative FD is lowest at "
        f"s = {best.settings.guidance:g}."
    )
    return Outcome(Verdict.UNTESTED, reason, [measured(best)])


def _calls(cell: CellResult) -> float:
    return _cost(cell) / cell.settings.steps


def _cost(cell: CellResult) -> int:
    return cell.manifest.network_evaluations


CLAIMS = [
    Claim(
        "label-dropout",
        "Dropping the label some of the time (say 10 %) teaches the network both conditional and "
        "unconditional generation.",
        "Classifier-free guidance",
        "One run at s = 1 and s = 0, the latter against a run trained without labels. It holds if "
        "the digit asked for comes in more than half of the images, and FD without the label is no "
        "worse in the eyes of either network.",
        _dropout,
    ),
    Claim(
        "guidance-ends",
        "At s = 1 you get the raw conditional model, at s = 0 unconditional generation.",
        "Classifier-free guidance",
        "Labels, network evaluations and accuracy of the cells at both ends.",
        _ends,
    ),
    Claim(
        "guidance-twice",
        "Guidance runs the model twice, once with the prompt and once without.",
        "Classifier-free guidance",
        "Network evaluations a step, counted while drawing.",
        _twice,
    ),
    Claim(
        "guidance-trade",
        "A higher guidance scale means stronger adherence, at the cost of diversity.",
        "Classifier-free guidance",
        "Accuracy (adherence) at its highest and recall (diversity) at the largest s, against "
        "s = 1; each counts where the intervals are apart.",
        _trade,
    ),
    Claim(
        "photo-range",
        "For photorealistic images a guidance scale of 5–8 works well.",
        "Practical guidance scale ranges",
        "Needs photographs.",
        _photographs,
    ),
]
