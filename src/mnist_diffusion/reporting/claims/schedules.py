"""The claim behind the source's exercise: that the noise schedule is a choice worth comparing."""

from __future__ import annotations

from mnist_diffusion.reporting.claims.claim import (
    Claim,
    Datum,
    Outcome,
    UntestableError,
    Verdict,
    by_share,
)
from mnist_diffusion.reporting.claims.contrast import Views, measured, views
from mnist_diffusion.reporting.claims.select import differ_only
from mnist_diffusion.reporting.ranking import by_condition, nearest
from mnist_diffusion.reporting.results import CellResult, Results


def comparable(cells: list[CellResult]) -> list[CellResult]:
    """The largest set of cells whose runs differ in the schedule alone."""
    sets = [
        [one, *(o for o in cells if differ_only(one.run, o.run, {"schedule"}))] for one in cells
    ]
    return max(sets, key=len)


def _matters(results: Results) -> Outcome:
    groups = {
        name: comparable(cells) for name, cells in by_condition(results.chosen("schedules")).items()
    }
    groups = {name: cells for name, cells in groups.items() if len(cells) > 1}
    if not groups:
        raise UntestableError("no two runs that differ in the schedule alone are declared")
    contrasts = {name: _against_best(results, cells) for name, cells in groups.items()}
    clear = [name for name, own in contrasts.items() if all(c.verdict == "better" for c in own)]
    none = not any(c.judge.verdict == "better" for own in contrasts.values() for c in own)
    data = [datum for name, own in contrasts.items() for datum in _data(name, groups[name], own)]
    best = "; ".join(f"{name}: {_winner(cells, contrasts[name])}" for name, cells in groups.items())
    verdict = Verdict.UNTESTED if none else by_share(len(clear), len(groups))
    if verdict is Verdict.FAILS:
        verdict = Verdict.DEPENDS
    return Outcome(verdict, f"{best}. One training seed a row.", data)


def _winner(cells: list[CellResult], contrasts: list[Views]) -> str:
    schedule = nearest(cells).run.settings.schedule
    if all(c.verdict == "better" for c in contrasts):
        return f"{schedule} is best in the eyes of both networks"
    if all(c.judge.verdict == "better" for c in contrasts):
        return f"{schedule} is best by the judge's features, not clearly by the second network's"
    return f"{schedule} is lowest, but not clear of all others"


def _against_best(results: Results, cells: list[CellResult]) -> list[Views]:
    best = nearest(cells)
    return [views(results, best, cell) for cell in cells if cell is not best]


def _data(name: str, cells: list[CellResult], contrasts: list[Views]) -> list[Datum]:
    return [
        measured(nearest(cells), label=f"{name}: lowest"),
        *(one for c in contrasts for one in c.data()),
    ]


CLAIMS = [
    Claim(
        "schedules-differ",
        "Linear, cosine and quadratic noise schedules are worth comparing.",
        "Exercises",
        "Runs that differ in the schedule alone, drawn alike, within each conditioning and "
        "guidance. It holds if everywhere one schedule is better than each other in the eyes of "
        "both networks, and depends if only somewhere, or only in the judge's.",
        _matters,
    )
]
